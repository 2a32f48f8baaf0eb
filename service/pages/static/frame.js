// Lets the page that shows this form in a frame talk with it: SDC SMART Web Messaging (docs/embedding.md).
// The service names the origin of that page only where it is on its list; nobody else is listened to or told.
"use strict";
(() => {
  const { parent: origin, done } = document.currentScript.dataset;
  const handle = window.name || new URLSearchParams(location.search).get("messaging_handle") || "";
  const PROTOCOL = { protocolVersion: "1.0", fhirVersion: "R4" };
  const CONTEXT = ["subject", "author", "encounter"];
  const RESULTS = ["result", "emergency"];
  const form = window.questionnaireForm;
  if (window.parent === window) return;

  // ---- Messages ----------------------------------------------------------------------------------------

  function post(message) {
    const messageId = Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36));
    window.parent.postMessage({ messageId: messageId.join("-"), ...message }, origin);
  }

  const request = (messageType, payload) => post({ messagingHandle: handle, messageType, payload });

  const error = (code, diagnostics) => ({
    status: "error",
    outcome: { resourceType: "OperationOutcome", issue: [{ severity: "error", code, diagnostics }] },
  });

  window.addEventListener("message", async ({ source, origin: from, data: message }) => {
    if (source !== window.parent || from !== origin || !message?.messageType) return;
    if (message.messagingHandle !== handle) return;
    const answer = Object.hasOwn(ANSWERS, message.messageType)
      ? ANSWERS[message.messageType](message.payload ?? {})
      : Promise.resolve(error("not-supported", "This form does not know that type of message."));
    const payload = await answer.catch(({ message: text }) => error("processing", text));
    post({ responseToMessageId: message.messageId, payload });
  });

  // ---- What the page may ask ---------------------------------------------------------------------------

  const ANSWERS = {
    "status.handshake": async () => ({
      ...PROTOCOL,
      application: { name: document.title },
      capabilities: { extraction: true, focusChangeNotifications: true },
    }),
    // Nothing here needs a terminology server or a data server: the service has what the form needs.
    "sdc.configure": async () => ({ status: "success" }),
    "sdc.configureContext": async ({ context = {} }) => {
      const [current] = await resources();
      const without = Object.entries(current).filter(([name]) => !CONTEXT.includes(name));
      return resumed(Object.fromEntries(without), context);
    },
    "sdc.displayQuestionnaire": display,
    "sdc.displayQuestionnaireResponse": display,
    "sdc.requestCurrentQuestionnaireResponse": async () => {
      const [questionnaireResponse] = await resources();
      return { questionnaireResponse };
    },
    "sdc.requestExtract": async () => {
      const [, ...extractedResources] = await resources();
      const issue = [{ severity: "information", code: "informational" }];
      return { outcome: { resourceType: "OperationOutcome", issue }, extractedResources };
    },
  };

  async function display({ questionnaire, questionnaireResponse, context = {} }) {
    const [current] = await resources();
    const shown = current.questionnaire;
    const [url, version] = [questionnaire?.url ?? questionnaire, questionnaire?.version];
    const isShown = !url || [shown, shown.split("|")[0]].includes(version ? `${url}|${version}` : url);
    if (!isShown || (questionnaireResponse && questionnaireResponse.questionnaire !== shown)) {
      return error("not-supported", `This form is ${shown}.`);
    }
    const isContext = CONTEXT.some((name) => context[name]);
    if (questionnaireResponse || isContext) return resumed(questionnaireResponse ?? current, context);
    return { status: "success" };
  }

  async function resumed(response, context) {
    const stated = CONTEXT.filter((name) => context[name]).map((name) => [name, context[name]]);
    await form.resume({ ...response, ...Object.fromEntries(stated) });
    return { status: "success" };
  }

  async function resources() {
    return (await form.export()).entry.map(({ resource }) => resource);
  }

  // ---- What the page is told ---------------------------------------------------------------------------

  let told = Promise.resolve();
  let isAbout = false; // something is to be told
  let hasAnswers = false; // and was told before

  // One after the other; what changes while one waits is told with it. Where the connection is lost, the next
  // change tells of this one too.
  function tell() {
    if (isAbout) return;
    isAbout = true;
    told = told.then(tellNow).catch(() => {});
  }

  async function tellNow() {
    isAbout = false;
    const hasResult = RESULTS.includes(kind());
    const [questionnaireResponse, riskAssessment] = await resources();
    if (hasAnswers || questionnaireResponse.item) {
      request("sdc.ui.changedQuestionnaireResponse", { questionnaireResponse });
    }
    hasAnswers = Boolean(questionnaireResponse.item);
    if (hasResult) request("guidance.ui.result", { riskAssessment });
  }

  document.addEventListener("questionnaire:answers", tell);
  document.addEventListener("questionnaire:result", () => {
    if (kind() === "result") offerDone();
  });

  const kind = () => document.querySelector("main").dataset.kind;

  // The person decides when the result has been read: only then is the page told that it may put the form away.
  // What to do in an emergency is not put away.
  function offerDone() {
    const button = document.createElement("button");
    button.className = "btn second";
    button.textContent = done;
    button.addEventListener("click", () => request("ui.done", {}));
    document.querySelector("main").append(button);
  }

  let focused = "";
  document.addEventListener("focusin", ({ target }) => {
    const [, linkId = ""] = /^\w\.(.+)$/.exec(target.name) ?? [];
    if (linkId && linkId !== focused) request("sdc.ui.changedFocus", { linkId });
    focused = linkId || focused;
  });

  // The body's own height: the document is never less high than its frame.
  const size = new ResizeObserver(([{ contentRect }]) => {
    request("guidance.ui.changedSize", { height: Math.ceil(contentRect.height) });
  });

  request("status.handshake", { ...PROTOCOL, application: { name: document.title } });
  size.observe(document.body);
})();
