// Defines <guidance-questionnaire src="https://.../questionnaires/...">, which shows a form of this service in a
// page of another site. Both windows talk SDC SMART Web Messaging; docs/embedding.md has the table of messages.
"use strict";
(() => {
  const NAME = "guidance-questionnaire";
  const PROTOCOL = { protocolVersion: "1.0", fhirVersion: "R4" };
  const SUCCESS = { status: "success" };

  function identifier() {
    return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("-");
  }

  function refusal(payload) {
    const refused = new Error(payload.outcome?.issue?.[0]?.diagnostics ?? "The form refused this.");
    return Object.assign(refused, { outcome: payload.outcome });
  }

  class GuidanceQuestionnaire extends HTMLElement {
    static observedAttributes = ["src", "language"];

    #frame = null;
    #origin = "";
    #handle = "";
    #isReady = false;
    #unsent = [];
    #waiting = new Map();

    connectedCallback() {
      window.addEventListener("message", this.#receive);
      this.#open();
    }

    disconnectedCallback() {
      window.removeEventListener("message", this.#receive);
      this.#close("The element was removed.");
    }

    attributeChangedCallback(_, before, now) {
      if (before === now || !this.isConnected) return;
      this.#close("The element shows another form.");
      this.#open();
    }

    /** Shows a QuestionnaireResponse in the form, to go on with it. */
    async displayQuestionnaireResponse(questionnaireResponse) {
      await this.#request("sdc.displayQuestionnaireResponse", { questionnaireResponse });
    }

    /** Returns the QuestionnaireResponse as it is now. */
    async requestResponse() {
      return (await this.#request("sdc.requestCurrentQuestionnaireResponse", {})).questionnaireResponse;
    }

    /** Returns the resources that the service makes of the answers, the RiskAssessment first. */
    async requestResources() {
      return (await this.#request("sdc.requestExtract", {})).extractedResources;
    }

    /** States whom the answers are about and who gives them: references `subject`, `author`, `encounter`. */
    async configureContext(context) {
      await this.#request("sdc.configureContext", { context });
    }

    #open() {
      if (!this.getAttribute("src")) return;
      const url = new URL(this.getAttribute("src"), document.baseURI);
      url.searchParams.set("parent", location.origin);
      if (this.getAttribute("language")) url.searchParams.set("language", this.getAttribute("language"));
      this.#origin = url.origin;
      this.#handle = identifier();
      this.#frame = this.#newFrame(url);
      (this.shadowRoot ?? this.attachShadow({ mode: "open" })).replaceChildren(this.#frame);
    }

    #newFrame(url) {
      const frame = document.createElement("iframe");
      frame.name = this.#handle; // reaches the form without standing in a URL, and outlives a reload
      frame.title = this.title || "Questionnaire";
      frame.allow = "";
      frame.referrerPolicy = "no-referrer";
      frame.style.cssText = "display:block;width:100%;height:20rem;border:0";
      frame.src = url.href;
      this.style.display ||= "block";
      return frame;
    }

    #close(reason) {
      this.#isReady = false;
      this.#unsent = [];
      this.#refuse(reason);
    }

    /** Tells all who wait for an answer that none will come. */
    #refuse(reason) {
      for (const { reject } of this.#waiting.values()) reject(new Error(reason));
      this.#waiting.clear();
    }

    #request(messageType, payload) {
      const messageId = identifier();
      const message = { messagingHandle: this.#handle, messageId, messageType, payload };
      if (this.#isReady) this.#post(message);
      else this.#unsent.push(message);
      return new Promise((resolve, reject) => this.#waiting.set(messageId, { resolve, reject }));
    }

    #post(message) {
      this.#frame.contentWindow.postMessage(message, this.#origin);
    }

    #receive = (event) => {
      const message = event.data;
      if (!this.#frame || event.source !== this.#frame.contentWindow || event.origin !== this.#origin) return;
      if (message?.responseToMessageId) this.#settle(message);
      else if (message?.messagingHandle === this.#handle) this.#answer(message);
    };

    #settle({ responseToMessageId, payload }) {
      const asked = this.#waiting.get(responseToMessageId);
      this.#waiting.delete(responseToMessageId);
      if (!asked) return;
      if (payload.status === "error" || payload.outcome?.issue?.[0]?.severity === "error") {
        asked.reject(refusal(payload));
      } else asked.resolve(payload);
    }

    #answer({ messageId, messageType, payload }) {
      const said = this.#said(messageType, payload);
      this.#post({ messageId: identifier(), responseToMessageId: messageId, payload: said });
      if (messageType !== "status.handshake") return;
      if (this.#isReady) this.#refuse("The form was loaded anew."); // the page that was asked is gone
      this.#isReady = true;
      for (const message of this.#unsent.splice(0)) this.#post(message);
      this.#tell("ready", null);
    }

    #said(messageType, payload) {
      switch (messageType) {
        case "status.handshake":
          this.#frame.title = this.title || payload.application?.name || this.#frame.title;
          return { ...PROTOCOL, application: { name: NAME } };
        case "sdc.ui.changedQuestionnaireResponse":
          return this.#tell("questionnaire-response", payload.questionnaireResponse);
        case "sdc.ui.changedFocus":
          return this.#tell("changed-focus", payload);
        case "guidance.ui.result":
          return this.#tell("result", payload.riskAssessment);
        case "guidance.ui.changedSize":
          this.#frame.style.height = `${payload.height}px`;
          return SUCCESS;
        case "ui.done":
          return this.#tell("done", null);
        default:
          return { status: "error", statusDetail: { text: `${messageType} is not known here.` } };
      }
    }

    #tell(name, detail) {
      this.dispatchEvent(new CustomEvent(name, { detail }));
      return SUCCESS;
    }
  }

  if (!customElements.get(NAME)) customElements.define(NAME, GuidanceQuestionnaire);
})();
