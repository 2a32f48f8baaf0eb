// Shows the Questionnaire that `?questionnaire=` names, filled in with the response that `?response=` names.
// What a test asks for stands under `window.renderer`.

import {
  BaseRenderer,
  RendererThemeProvider,
  buildForm,
  getResponse,
  removeEmptyAnswersFromResponse,
  useRendererQueryClient,
} from "@aehrc/smart-forms-renderer";
import { QueryClientProvider } from "@tanstack/react-query";
import { createElement } from "react";
import { createRoot } from "react-dom/client";

async function fetched(name) {
  const url = new URLSearchParams(location.search).get(name);
  return url ? (await fetch(url)).json() : undefined;
}

function Form() {
  const client = useRendererQueryClient();
  const renderer = createElement(QueryClientProvider, { client }, createElement(BaseRenderer));
  return createElement(RendererThemeProvider, null, renderer);
}

const questionnaire = await fetched("questionnaire");
// The terminology server is one that is not there: without it the renderer would ask a public one.
await buildForm({
  questionnaire,
  questionnaireResponse: await fetched("response"),
  terminologyServerUrl: new URL("/no-terminology", location.href).href,
});
createRoot(document.getElementById("form")).render(createElement(Form));
window.renderer = {
  problems: () => [],
  response: () => removeEmptyAnswersFromResponse(questionnaire, getResponse()),
};
document.documentElement.dataset.ready = "true";
