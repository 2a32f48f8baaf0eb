// Shows the Questionnaire that `?questionnaire=` names, filled in with the response that `?response=` names.
// What a test asks for stands under `window.renderer`.

const form = document.getElementById("form");

async function fetched(name) {
  const url = new URLSearchParams(location.search).get(name);
  return url && (await fetch(url)).json();
}

async function show(questionnaire, response) {
  const util = window.LForms.Util;
  let definition = util.convertFHIRQuestionnaireToLForms(questionnaire, "R4");
  if (response) {
    definition = util.mergeFHIRDataIntoLForms("QuestionnaireResponse", response, definition, "R4");
  }
  await util.addFormToPage(definition, form.id);
}

window.renderer = {
  // What keeps the form from being exported; a number that cannot be read makes the export null.
  problems: () => window.LForms.Util.checkValidity(form) ?? [],
  response: () => window.LForms.Util.getFormFHIRData("QuestionnaireResponse", "R4", form),
};
await show(await fetched("questionnaire"), await fetched("response"));
document.documentElement.dataset.ready = "true";
