// Runs the form inside an EHR: signs in, reads what the questionnaire asks of the chart, and writes the result back.
//
// The EHR's token stays in this page. It goes to the EHR alone, never to our own server. Whatever is not yet in
// the record is kept in sessionStorage, so that a new sign-in loses nothing.
"use strict";
(() => {
  const LAUNCH = "app.launch"; // between the way to the sign-in and the way back
  const SESSION = "app.session"; // who signed in where, for whom, and which form is open
  const PENDING = "app.pending"; // a result that is not in the record yet
  const SAVED = "app.saved"; // ids in the record by identifier
  const CHART = "app.chart"; // what of the chart could not be read or used
  const UNCOMPARED = "app.uncompared"; // whether earlier answers were to be compared and could not be
  const AGAIN = "app.again"; // the EHR to sign in at once more, and what the launch said
  const WRITTEN = ["QuestionnaireResponse", "RiskAssessment", "Observation", "DocumentReference"];
  const MOST_PAGES = 20; // of one search
  const LONGEST_MS = 60_000; // for one answer of an EHR
  // Codes of issue-type by which an EHR says that it left something out, or could not look everywhere.
  const NOT_ALL = ["incomplete", "suppressed", "throttled", "timeout", "too-costly", "transient"];
  const MOST_COMPARED = 5; // earlier responses, as many as the form takes
  const COMPARED = ["resourceType", "id", "identifier", "questionnaire", "status", "authored", "item"];
  const ASKED = "#asked"; // how a short form that was saved names what it contains: what was asked
  const FHIR_JSON = "application/fhir+json";

  const place = (id) => document.getElementById(id);
  const settings = JSON.parse(place("app").dataset.settings);
  const storage = openStorage();
  let begun = null; // the sign-in that is under way
  let client = null; // of fhirclient, once somebody has signed in
  let statement = null; // the EHR's CapabilityStatement
  let patient = null; // the Patient, as far as it may be read

  /** Something that ends what is being done; `reason` is the key of the words for it. */
  class Stop extends Error {
    constructor(reason) {
      super(reason);
      this.reason = reason;
    }
  }

  // Words and elements.

  function say(key, parts = {}) {
    return settings.words[key].replace(/\{([a-z-]+)\}/g, (_, name) => parts[name]);
  }

  function element(tag, text = "", attributes = {}) {
    const made = document.createElement(tag);
    made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  function button(key, press, parts = {}, look = "btn") {
    const made = element("button", say(key, parts), { type: "button", class: look });
    made.addEventListener("click", press);
    return made;
  }

  /** Shows a page of the app itself in the place of the form, and moves the focus to its heading. */
  function show(heading, ...below) {
    const title = element("h1", heading, { tabindex: "-1" });
    const main = document.querySelector("main");
    for (const name of ["kind", "page", "status"]) delete main.dataset[name];
    main.replaceChildren(title, ...below);
    title.focus();
  }

  function notice(...shown) {
    place("app-notice").replaceChildren(...shown);
  }

  /** Shows how the result gets into the record: above it on a small screen, but
      never above what to do in an emergency. */
  function panel(...shown) {
    const part = place("app-save");
    const main = document.querySelector("main");
    const isLarge = matchMedia("(min-width: 45rem) and (min-height: 45rem)").matches;
    if (isLarge || main.dataset.kind === "emergency") main.after(part);
    else main.before(part);
    part.replaceChildren(...shown);
    part.hidden = shown.length === 0;
  }

  function fail(error) {
    const isRefused = error.status >= 400 && error.status < 500; // by the token endpoint, as fhirclient tells it
    const reason = error instanceof Stop ? error.reason : isRefused ? "refused" : "unreachable";
    const again = kept(SESSION) ? ehrOf(kept(SESSION)) : reason === "unreachable" && begun;
    panel();
    show(
      say("stopped"),
      element("p", say(reason), { role: "alert" }),
      ...(again ? [button("sign-in-again", signInAgain)] : []),
      ...(kept(PENDING) ? [download(kept(PENDING).bundle.entry)] : []),
    );
  }

  function attempt(task) {
    return task().catch(fail);
  }

  // What is kept over a sign-in and a reload.

  function openStorage() {
    try {
      window.sessionStorage.setItem("app.test", "1");
      window.sessionStorage.removeItem("app.test");
      return window.sessionStorage;
    } catch {
      return null;
    }
  }

  function keep(name, value) {
    storage.setItem(name, JSON.stringify(value));
  }

  function kept(name) {
    return JSON.parse((storage && storage.getItem(name)) || "null");
  }

  function taken(name) {
    const value = kept(name);
    storage.removeItem(name);
    return value;
  }

  // The sign-in.

  function random() {
    const bytes = crypto.getRandomValues(new Uint8Array(32));
    return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
  }

  function ehrOf(session) {
    return settings.ehrs.find((ehr) => ehr.issuer === session.issuer);
  }

  /** Returns what comes of a task, and gives up where that takes too long: a server may take a request and never answer. */
  function inTime(task) {
    const late = new Promise((_, reject) => setTimeout(() => reject(new Stop("unreachable")), LONGEST_MS));
    return Promise.race([task, late]);
  }

  /** Goes to the EHR's sign-in. */
  async function begin(ehr, { launch = "", questionnaire = "" } = {}) {
    if (!window.isSecureContext) throw new Stop("insecure");
    if (new URL(ehr.redirect).origin !== location.origin) throw new Stop("address");
    // fhirclient takes client, patient and server from the address before it looks at its options.
    history.replaceState(null, "", new URL(ehr.redirect).pathname);
    begun = { issuer: ehr.issuer, launch, questionnaire };
    const address = await authorization(ehr, launch);
    const record = { issuer: ehr.issuer, state: random(), nonce: random(), questionnaire, session: kept(SESSION) };
    renameState(address, record.state);
    address.searchParams.set("nonce", record.nonce);
    keep(LAUNCH, record);
    location.assign(address.href);
  }

  /** Signs in from a page of its own: fhirclient keeps the address that it has seen first, and its `iss`. */
  function signInAgain() {
    keep(AGAIN, kept(SESSION) ? { issuer: kept(SESSION).issuer } : begun);
    location.replace(location.pathname);
  }

  /** Returns where people sign in, with all that fhirclient asks for. */
  async function authorization(ehr, launch) {
    const context = launch ? "launch" : "launch/patient";
    const scopes = new Set([context, ...ehr.scopes]);
    if (!launch) scopes.delete("launch");
    const address = new URL(
      await inTime(
        FHIR.oauth2.authorize({
          iss: ehr.issuer,
          launch: launch || undefined,
          clientId: ehr.client,
          scope: [...scopes].join(" "),
          redirectUri: ehr.redirect,
          pkceMode: "required",
          completeInTarget: true,
          noRedirect: true,
        }),
      ),
    );
    // Where the EHR names no sign-in, or none can be read, fhirclient would go on without one.
    if (!address.searchParams.has("code_challenge")) throw new Stop("unreachable");
    if (!ehr.origins.includes(address.origin)) throw new Stop("elsewhere");
    return address;
  }

  /** Gives the request a state of 256 random bits; fhirclient's own is 16 letters of Math.random. */
  function renameState(address, state) {
    const old = address.searchParams.get("state");
    const record = JSON.parse(storage.getItem(old));
    storage.removeItem(old);
    keep(state, { ...record, key: state });
    keep("SMART_KEY", state);
    address.searchParams.set("state", state);
  }

  /** Ends the sign-in with what the EHR sent back in the address: once only, and only if it was asked for here. */
  async function finish(query) {
    const launch = taken(LAUNCH);
    const known = launch && query.get("state") === launch.state;
    if (query.has("error")) {
      clearAddress();
      throw new Stop(query.get("error") === "access_denied" ? "denied" : "refused");
    }
    if (!known || !query.get("code")) {
      clearAddress();
      throw new Stop("state");
    }
    const ehr = ehrOf(launch);
    begun = { issuer: launch.issuer, questionnaire: launch.questionnaire };
    const configuration = await json(`${ehr.issuer.replace(/\/$/, "")}/.well-known/smart-configuration`);
    if (query.has("iss") && query.get("iss") !== configuration.issuer) {
      clearAddress();
      throw new Stop("state");
    }
    client = await inTime(FHIR.oauth2.ready()).finally(clearAddress);
    await signedIn(ehr, launch, configuration);
  }

  function clearAddress() {
    history.replaceState(null, "", location.pathname);
  }

  async function signedIn(ehr, launch, configuration) {
    const token = client.state.tokenResponse;
    if (String(token.token_type).toLowerCase() !== "bearer") throw new Stop("refused");
    const claims = token.id_token ? await identity(token.id_token, launch.nonce, configuration, ehr).catch(unidentified) : {};
    if (!/^[A-Za-z0-9.-]{1,64}$/.test(token.patient || "")) throw new Stop("no-patient");
    const before = launch.session;
    const isOther = before && (before.patient !== token.patient || before.issuer !== ehr.issuer);
    if (isOther && kept(PENDING)) throw new Stop("other-patient");
    if (isOther) forgetAnswers();
    keep(SESSION, {
      issuer: ehr.issuer,
      patient: token.patient,
      encounter: token.encounter || "",
      user: relative(claims.fhirUser || "", ehr),
      scope: token.scope || client.state.scope,
      form: (before && before.form) || chosenForm(ehr, launch.questionnaire, token),
    });
  }

  /** Returns the claims of an id token, once its signature (RS256 and no other), issuer, audience, time and nonce are right. */
  async function identity(token, nonce, configuration, ehr) {
    const [head, body, signature] = token.split(".");
    const [header, claims] = [head, body].map((part) => JSON.parse(new TextDecoder().decode(bytesOf(part))));
    const audience = [claims.aud].flat();
    const isOurs =
      claims.iss === configuration.issuer &&
      audience.includes(ehr.client) &&
      (audience.length === 1 || claims.azp === ehr.client) &&
      claims.nonce === nonce &&
      claims.exp > Date.now() / 1000;
    if (!isOurs) throw new Stop("identity");
    const { keys } = await json(configuration.jwks_uri);
    const fitting = keys.filter((key) => key.kty === "RSA" && (!header.kid || key.kid === header.kid));
    const signed = new TextEncoder().encode(`${head}.${body}`);
    for (const key of fitting) if (await isSigned(key, bytesOf(signature), signed)) return claims;
    throw new Stop("identity");
  }

  /** Ends a sign-in by an id token that cannot be read, or whose keys cannot be had. */
  function unidentified(error) {
    throw error instanceof Stop ? error : new Stop("identity");
  }

  async function isSigned(key, signature, signed) {
    const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
    const { kty, n, e } = key;
    const imported = await crypto.subtle.importKey("jwk", { kty, n, e }, algorithm, false, ["verify"]);
    return crypto.subtle.verify(algorithm, imported, signature, signed);
  }

  function bytesOf(part) {
    const text = atob(part.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  }

  /** Returns a reference below the FHIR base where it is one. */
  function relative(reference, ehr) {
    const base = `${ehr.issuer.replace(/\/$/, "")}/`;
    return reference.startsWith(base) ? reference.slice(base.length) : reference;
  }

  async function json(address) {
    const answer = await inTime(fetch(address, { headers: { accept: "application/json" } }));
    if (!answer.ok) throw new Stop("unreachable");
    return inTime(answer.json());
  }

  // What the token permits.

  /** Says whether something is permitted; reading only where all of it may be read, since what a condition leaves
      out may be the newer and the worse value. */
  function may(type, letter) {
    return kept(SESSION).scope.split(" ").some((scope) => {
      const found = /^(?:patient|user|system)\/([A-Za-z]+|\*)\.(read|write|\*|[cruds]+)(\?.*)?$/.exec(scope);
      if (!found || ![type, "*"].includes(found[1]) || (found[3] && "rs".includes(letter))) return false;
      const letters = { read: "rs", write: "cud", "*": "cruds" }[found[2]] || found[2];
      return letters.includes(letter);
    });
  }

  // The chart.

  /** Sends a request to the EHR; nothing outside its FHIR base gets the token. */
  async function ask(address, { method = "GET", body, headers = {} } = {}) {
    const base = new URL(`${kept(SESSION).issuer.replace(/\/$/, "")}/`);
    const url = new URL(address, base);
    if (url.origin !== base.origin || !`${url.pathname}/`.startsWith(base.pathname)) throw new Stop("elsewhere");
    const sent = { accept: FHIR_JSON, authorization: client.getAuthorizationHeader(), ...headers };
    if (body) sent["content-type"] = FHIR_JSON;
    const asked = { method, headers: sent, body: body && JSON.stringify(body), cache: "no-store" };
    const answer = await inTime(fetch(url, asked));
    if (answer.status === 401) throw new Stop("expired");
    return answer;
  }

  async function read(address) {
    const answer = await ask(address);
    return answer.ok ? inTime(answer.json()) : null;
  }

  /** Returns all resources of a search, or the one of a read; null where the EHR gives nothing, or not all of them. */
  async function all(query) {
    const { found, isWhole } = await search(query);
    return isWhole ? found : null;
  }

  /** Returns what the EHR gives of a search, or the one of a read, and whether that is the whole of it. */
  async function search(query) {
    const found = [];
    let next = query;
    let isPart = false;
    for (let page = 0; next && page < MOST_PAGES; page += 1) {
      const answer = await read(next);
      if (!answer) break;
      if (answer.resourceType !== "Bundle") return { found: [answer], isWhole: true };
      const entries = (answer.entry || []).filter((entry) => !entry.search || entry.search.mode !== "outcome");
      found.push(...entries.map((entry) => entry.resource));
      isPart = isPart || saysPart(answer);
      const link = (answer.link || []).find((each) => each.relation === "next");
      next = link && link.url;
    }
    return { found, isWhole: !next && !isPart };
  }

  /** Returns whether a Bundle says of itself that not all is in it that was looked for. */
  function saysPart(bundle) {
    const inside = (bundle.entry || []).map((entry) => entry.resource || {});
    const issues = inside.filter((one) => one.resourceType === "OperationOutcome").flatMap((one) => one.issue || []);
    return issues.some((issue) => ["error", "fatal"].includes(issue.severity) || NOT_ALL.includes(issue.code));
  }

  /** Returns a query with what the launch says put in; empty where it does not say. */
  function filled(query) {
    const { patient, encounter, user } = kept(SESSION);
    const known = { "%patient.id": encodeURIComponent(patient), "%encounter.id": encodeURIComponent(encounter), "%user": user };
    let isKnown = true;
    const text = query.replace(/\{\{([^}]*)\}\}/g, (_, name) => {
      isKnown = isKnown && Boolean(known[name.trim()]);
      return known[name.trim()] || "";
    });
    return isKnown ? text : "";
  }

  /** Returns what a query finds; null where the token does not permit it, or the EHR gives nothing. */
  async function permitted(address) {
    return may(address.split(/[/?]/)[0], address.includes("?") ? "s" : "r") ? all(address) : null;
  }

  function bundled(type, resources) {
    return { resourceType: "Bundle", type, entry: resources.map((resource) => ({ resource })) };
  }

  /** Reads what the form's own queries name; `unread` lists the types that could not be read. */
  async function chartOf(form) {
    const chart = { contexts: [], data: [], unread: new Set() };
    const wanted = form.queries.map(({ context, query }) => [context, filled(query)]).filter(([, address]) => address);
    const found = await Promise.all(wanted.map(([, address]) => permitted(address)));
    wanted.forEach(([context, address], number) => {
      const resources = found[number];
      if (!resources) chart.unread.add(address.split(/[/?]/)[0]);
      else if (context && address.includes("?")) chart.contexts.push([context, bundled("searchset", resources)]);
      else if (context) chart.contexts.push([context, resources[0]]);
      else chart.data.push(...resources);
    });
    return chart;
  }

  /** Returns the response that our own server makes of the chart, if it makes one, and what it did not take over. */
  async function prefilled(form, chart) {
    const context = chart.contexts.map(([name, resource]) => ({
      name: "context",
      part: [{ name: "name", valueString: name }, { name: "content", resource }],
    }));
    const parameter = [
      { name: "subject", valueReference: { reference: `Patient/${kept(SESSION).patient}` } },
      ...context,
      ...(chart.data.length ? [{ name: "data", resource: bundled("collection", chart.data) }] : []),
    ];
    const answer = await fetch(form.populate, {
      method: "POST",
      headers: { "content-type": FHIR_JSON, accept: FHIR_JSON, "accept-language": settings.language },
      body: JSON.stringify({ resourceType: "Parameters", parameter }),
    });
    if (!answer.ok) return { response: null, unused: [] };
    const given = Object.fromEntries((await answer.json()).parameter.map(({ name, resource }) => [name, resource]));
    const issues = given.issues ? given.issues.issue.filter((issue) => issue.severity === "warning") : [];
    return { response: given.response, unused: [...new Set(issues.map((issue) => issue.details.text))] };
  }

  // Whose record, which form, which response.

  function nameOf(resource) {
    const names = (resource && resource.name) || [];
    const best = names.find((name) => name.use === "official") || names[0] || {};
    return best.text || [...(best.given || []), best.family].filter(Boolean).join(" ");
  }

  const spoken = () => navigator.languages.find((tag) => tag.split("-")[0] === settings.language) || settings.language;
  const listed = (texts) => new Intl.ListFormat(spoken()).format(texts);

  function dayOf(text) {
    if (!/^\d{4}-\d{2}-\d{2}/.test(text || "")) return text || "";
    const form = new Intl.DateTimeFormat(spoken(), { dateStyle: "long", timeZone: "UTC" });
    return form.format(new Date(`${text.slice(0, 10)}T00:00:00Z`));
  }

  async function showRecord() {
    patient = may("Patient", "r") ? await read(`Patient/${encodeURIComponent(kept(SESSION).patient)}`) : null;
    const name = nameOf(patient);
    const words = name ? say("record", { name, born: dayOf(patient.birthDate) }) : say("record-unnamed");
    place("app-record").textContent = words;
    place("app-record").hidden = false;
  }

  /** Returns the form that a card of CDS Hooks offered, as its link says; empty where the launch came from none. */
  function formOfCard(appContext) {
    try {
      const { form } = JSON.parse(appContext);
      return typeof form === "string" ? form : "";
    } catch {
      return "";
    }
  }

  /** Returns the slug of the form that the address or the launch names; empty where neither does. */
  function chosenForm(ehr, questionnaire, token) {
    const offered = settings.forms.filter((form) => ehr.forms.includes(form.slug));
    const listed = Array.isArray(token.fhirContext) ? token.fhirContext : [];
    const launched = listed.filter(
      (each) => each && typeof each === "object" && each.canonical && (!each.role || each.role === "launch"),
    );
    const named = [questionnaire, formOfCard(token.appContext), ...launched.map((each) => each.canonical)];
    const wanted = named.filter(Boolean);
    const isNamed = (form, name) => [form.slug, form.canonical, form.canonical.split("|")[0]].includes(name);
    for (const name of wanted) {
      const found = offered.find((form) => isNamed(form, name));
      if (found) return found.slug;
    }
    return offered.length === 1 ? offered[0].slug : "";
  }

  function chooseForm(ehr) {
    const offered = settings.forms.filter((form) => ehr.forms.includes(form.slug));
    const choices = offered.map((form) => {
      const made = element("button", form.title, { type: "button", class: "btn" });
      made.addEventListener("click", () => {
        keep(SESSION, { ...kept(SESSION), form: form.slug });
        attempt(openForm);
      });
      return made;
    });
    show(say("which-form"), ...choices);
  }

  function subjectOf(response) {
    return (response.subject && response.subject.reference) || "";
  }

  /** Returns whether a response names the person of this record as its subject. */
  function isOurs(response) {
    const { issuer, patient } = kept(SESSION);
    return relative(subjectOf(response), ehrOf({ issuer })).split("/_history/")[0] === `Patient/${patient}`;
  }

  /** Returns the contained Questionnaire that a response of a short form names. */
  function askedIn(response) {
    return (response.contained || []).find((each) => each.resourceType === "Questionnaire" && `#${each.id}` === response.questionnaire);
  }

  /** Returns the canonical that a response answers; of a short form, the one that what it contains is derived from. */
  function canonicalOf(response) {
    const asked = askedIn(response);
    return asked ? (asked.derivedFrom || [])[0] : response.questionnaire;
  }

  /** Returns earlier responses of this person to this form, or to versions that it is compared with, the newest first;
      null where the record gives none to know of. */
  async function earlierResponses(form) {
    if (!may("QuestionnaireResponse", "s")) return null;
    const person = encodeURIComponent(kept(SESSION).patient);
    const known = [...new Set([form.canonical, ...form.compared])];
    // Some records find a short form by what it is derived from, others by the name of what it contains.
    const searches = [[...known, form.canonical.split("|")[0]].join(","), ASKED];
    const found = new Map();
    for (const named of searches) {
      const query = `QuestionnaireResponse?patient=${person}&questionnaire=${encodeURIComponent(named)}&_sort=-authored&_count=5`;
      const answer = await search(query);
      if (named !== ASKED && !answer.isWhole && !answer.found.length) return null;
      for (const response of answer.found) found.set(response.id, response);
    }
    const open = ["in-progress", "completed", "amended"];
    return [...found.values()]
      .filter((response) => known.includes(canonicalOf(response)) && open.includes(response.status))
      .filter((response) => !subjectOf(response) || isOurs(response))
      .sort((one, other) => String(other.authored).localeCompare(String(one.authored)));
  }

  async function openForm() {
    const session = kept(SESSION);
    const ehr = ehrOf(session);
    const form = settings.forms.find((each) => each.slug === session.form);
    if (!form) return chooseForm(ehr);
    show(say("reading"));
    const earlier = await earlierResponses(form);
    if (!earlier || !earlier.length) return startForm(form, null, [], !earlier && form.compared.length > 0);
    const compared = comparable(earlier.filter((response) => form.compared.includes(canonicalOf(response))));
    const ofForm = earlier.filter((response) => canonicalOf(response) === form.canonical);
    const { box, isChosen } = comparison(compared);
    const start = (response) => attempt(() => startForm(form, response, isChosen() ? compared : []));
    const isBegun = (response) => response.status === "in-progress";
    const choices = ofForm.map((response) => {
      const [key, look] = isBegun(response) ? ["go-on", "btn"] : ["change-earlier", "btn second"];
      return button(key, () => start(response), { day: dayOf(response.authored) }, look);
    });
    return show(
      say("earlier"),
      ...(choices.length ? [element("p", say("earlier-text"))] : []),
      ...box,
      ...choices,
      button("start-new", () => start(null), {}, ofForm.some(isBegun) ? "btn second" : "btn"),
    );
  }

  /** Returns the newest finished ones among responses that are certainly about this person, without what the form has no use for. */
  function comparable(responses) {
    const { patient } = kept(SESSION);
    const subject = { reference: `Patient/${patient}` };
    return responses
      .filter((response) => ["completed", "amended"].includes(response.status) && response.authored && isOurs(response))
      .slice(0, MOST_COMPARED)
      .map((response) => ({
        ...Object.fromEntries(COMPARED.filter((name) => name in response).map((name) => [name, response[name]])),
        ...(askedIn(response) ? { contained: [askedIn(response)] } : {}),
        subject,
      }));
  }

  /** Returns a ticked box that says with which days the answers will be compared, and what says whether it still is. */
  function comparison(compared) {
    if (!compared.length) return { box: [], isChosen: () => false };
    const days = listed([...new Set(compared.map(({ authored }) => dayOf(authored)))]);
    const input = element("input", "", { type: "checkbox", id: "app-compare", "aria-describedby": "app-compare-note" });
    input.checked = true;
    const label = element("label", "", { for: "app-compare", class: "o" });
    label.append(input, element("span", say("compare", { days })));
    return { box: [label, element("p", say("compare-note"), { id: "app-compare-note", class: "h" })], isChosen: () => input.checked };
  }

  /** Opens the form with an earlier response, else with what the chart says, and has it compared with others. */
  async function startForm(form, earlier, compared = [], isUncompared = false) {
    show(say("reading"));
    const response = earlier || (await ofChart(form)) || empty(form);
    if (earlier) storage.removeItem(CHART);
    keep(UNCOMPARED, isUncompared);
    await fill(form, { ...response, ...headOf(response) }, compared.filter((each) => !earlier || each.id !== earlier.id));
    tellLimits();
  }

  /** Returns a response made of the chart, if one can be made, and keeps what of the chart is not in it. */
  async function ofChart(form) {
    const chart = await chartOf(form);
    const { response, unused } = await prefilled(form, chart);
    keep(CHART, { unread: [...chart.unread], unused });
    return response;
  }

  function forgetAnswers() {
    for (const name of Object.keys(storage)) if (name.startsWith("questionnaire:")) storage.removeItem(name);
  }

  /** Gives the form a response, and beside it those to compare with; without them where it cannot take them. */
  async function resume(response, compared) {
    if (compared.length) {
      try {
        return await window.questionnaireForm.resume(response, bundled("collection", compared));
      } catch {
        keep(UNCOMPARED, true);
      }
    }
    return window.questionnaireForm.resume(response);
  }

  /** Opens the form and gives it a response; what was left of another one in this tab goes. */
  async function fill(form, response, compared) {
    forgetAnswers();
    await window.questionnaireForm.open(form.address);
    document.querySelector("main").hidden = true; // its first page without answers is nothing to be seen
    try {
      await resume(response, compared);
    } catch {
      // It says on the page itself what of the response it could not take.
      if (document.querySelector("main").dataset.kind === "message") throw new Stop("response");
    } finally {
      document.querySelector("main").hidden = false;
    }
  }

  function empty(form) {
    return { resourceType: "QuestionnaireResponse", questionnaire: form.canonical, status: "in-progress" };
  }

  /** Returns whom and what a response is about, and the identifier by which it is found again. */
  function headOf(response) {
    const { patient, encounter, user } = kept(SESSION);
    const isPerson = /^(Patient|RelatedPerson)\//.test(user);
    return {
      subject: { reference: `Patient/${patient}` },
      identifier: response.identifier || { system: "urn:ietf:rfc:3986", value: `urn:uuid:${crypto.randomUUID()}` },
      ...(encounter && !response.encounter ? { encounter: { reference: `Encounter/${encounter}` } } : {}),
      ...(user ? { author: { reference: user } } : {}),
      ...(isPerson ? { source: { reference: user } } : {}),
    };
  }

  /** Says above the form, after a reload as well, what is not possible with what was permitted. */
  function tellLimits() {
    const lines = [];
    const { unread, unused } = kept(CHART) || { unread: [], unused: [] };
    if (unread.length) lines.push(say("unread", { types: listed(unread.map(typeName)) }));
    if (kept(UNCOMPARED)) lines.push(say("uncompared"));
    if (!may("QuestionnaireResponse", "c")) lines.push(say("no-writing"));
    notice(...lines.map((line) => element("p", line)), ...(unused.length ? [unusedOf(unused)] : []));
  }

  function unusedOf(unused) {
    const list = element("ul");
    list.append(...unused.map((text) => element("li", text)));
    const part = element("details");
    part.append(element("summary", say("unused", { number: unused.length })), list);
    return part;
  }

  function typeName(type) {
    return settings.words[`type.${type}`] || type;
  }

  // The result.

  document.addEventListener("questionnaire:page", () => {
    if (document.querySelector("main").dataset.kind === "question") panel();
  });
  document.addEventListener("questionnaire:result", () => {
    if (client) attempt(takeResult);
  });

  /** Keeps a result until it is in the record; a form that stopped at a sign of danger is sent at once. */
  async function takeResult() {
    const bundle = await window.questionnaireForm.export();
    const { issuer, patient } = kept(SESSION);
    keep(PENDING, { issuer, patient, bundle });
    if (document.querySelector("main").dataset.kind === "emergency") await save();
    else offerToSave();
  }

  function offerToSave(heading = "save-heading") {
    const name = nameOf(patient);
    const text = name ? say("save-text", { name, born: dayOf(patient.birthDate) }) : say("save-text-unnamed");
    panel(element("h2", say(heading)), element("p", text), button("save", saveByHand));
  }

  /** Saves because somebody pressed a button, and moves the focus to what came of it. */
  async function saveByHand() {
    await attempt(save);
    const heading = place("app-save").querySelector("h2");
    if (heading) heading.focus();
  }

  /** Writes what is kept, and says what came of it; nothing is lost where it fails. */
  async function save() {
    const { bundle } = kept(PENDING);
    panel(element("p", say("saving"), { role: "status" }));
    let outcomes;
    try {
      outcomes = await written(bundle.entry);
    } catch (error) {
      tellUnsaved(error, bundle.entry);
      return;
    }
    const left = outcomes.filter((outcome) => outcome.reason);
    if (!left.length) storage.removeItem(PENDING);
    tellOutcomes(outcomes, left);
  }

  function tellUnsaved(error, entries) {
    const isExpired = error instanceof Stop && error.reason === "expired";
    const again = isExpired
      ? button("sign-in-again", signInAgain)
      : button("try-again", saveByHand);
    panel(
      element("h2", say("not-saved"), { tabindex: "-1" }),
      element("p", say(isExpired ? "expired" : "unreachable"), { role: "alert" }),
      again,
      download(entries),
    );
  }

  function tellOutcomes(outcomes, left) {
    const lines = outcomes.map(({ type, reason, isNew }) => {
      const key = reason ? `outcome.${reason}` : isNew ? "outcome.saved" : "outcome.changed";
      return say(key, { what: typeName(type) });
    });
    const list = element("ul");
    list.append(...[...new Set(lines)].map((line) => element("li", line)));
    const key = left.length === outcomes.length ? "not-saved" : left.length ? "partly-saved" : "saved";
    panel(
      element("h2", say(key), { tabindex: "-1" }),
      list,
      ...(left.length ? [button("try-again", saveByHand), download(left.map((each) => each.entry))] : []),
      ...(left.length ? [] : [button("sign-out", signOut)]),
    );
  }

  function signOut() {
    storage.clear();
    client = null;
    place("app-record").hidden = true;
    notice();
    panel();
    show(say("signed-out"));
  }

  function download(entries) {
    const give = () => {
      const bundle = { resourceType: "Bundle", type: "collection", entry: entries };
      const url = URL.createObjectURL(new Blob([JSON.stringify(bundle, null, 2)], { type: FHIR_JSON }));
      element("a", "", { href: url, download: "questionnaire-result.json" }).click();
      URL.revokeObjectURL(url);
    };
    return button("download", give, {}, "btn second");
  }

  // Writing.

  /** Writes the resources that the record takes; returns for each what came of it. */
  async function written(entries) {
    statement = statement || (await read("metadata"));
    const outcomes = [];
    for (const entry of entries.filter((each) => WRITTEN.includes(each.resource.resourceType))) {
      const type = entry.resource.resourceType;
      const place = await placeOf(entry.resource);
      outcomes.push({ type, entry, ...place });
    }
    const open = outcomes.filter((outcome) => !outcome.reason);
    const isSent = open.length > 1 && takesTransactions() && (await transaction(open, entries[0]));
    if (!isSent) await oneByOne(open, entries[0]);
    keep(SAVED, { ...kept(SAVED), ...Object.fromEntries(open.filter((each) => each.id).map((each) => [each.key, each.id])) });
    return outcomes.filter((outcome) => !(outcome.reason === "unsupported" && WRITTEN.indexOf(outcome.type) > 1));
  }

  function rest() {
    return ((statement && statement.rest) || [])[0] || {};
  }

  function takesTransactions() {
    return (rest().interaction || []).some((each) => each.code === "transaction");
  }

  function takes(type, interaction) {
    if (!statement) return WRITTEN.indexOf(type) < 2;
    const found = (rest().resource || []).find((each) => each.type === type);
    return Boolean(found) && (found.interaction || []).some((each) => each.code === interaction);
  }

  /** Returns where a resource goes: over the one with its identifier, else beside all others; or why it cannot. */
  async function placeOf(resource) {
    const type = resource.resourceType;
    const identifier = [resource.identifier].flat()[0] || {};
    const key = `${identifier.system || ""}|${identifier.value || ""}`;
    const id = (kept(SAVED) || {})[key] || resource.id || (await foundId(type, key));
    const [interaction, letter] = id ? ["update", "u"] : ["create", "c"];
    if (!takes(type, interaction)) return { key, reason: "unsupported" };
    if (!may(type, letter)) return { key, reason: "not-permitted" };
    return { key, id, isNew: !id };
  }

  async function foundId(type, key) {
    if (!may(type, "s") || !takes(type, "search-type")) return "";
    const person = encodeURIComponent(kept(SESSION).patient);
    const { found } = await search(`${type}?patient=${person}&identifier=${encodeURIComponent(key)}`);
    return found.length ? found[0].id : "";
  }

  /** Returns a resource as it is sent: under its id in the record, and leading to the response that is there. */
  function prepared({ entry, id }, response, target) {
    const resource = { ...entry.resource, ...(id ? { id } : {}) };
    return target ? linked(resource, response.resource.identifier, target) : resource;
  }

  function linked(value, identifier, target) {
    if (Array.isArray(value)) return value.map((each) => linked(each, identifier, target));
    if (value === null || typeof value !== "object") return value;
    const isResponse = value.type === "QuestionnaireResponse" && value.identifier && value.identifier.value === identifier.value;
    if (isResponse) return { ...value, reference: target };
    return Object.fromEntries(Object.entries(value).map(([name, below]) => [name, linked(below, identifier, target)]));
  }

  /** Writes everything in one transaction; false where the EHR refuses it, and nothing is written then. */
  async function transaction(open, response) {
    const target = open.some((each) => each.entry === response) ? response.fullUrl : "";
    const entry = open.map((each) => ({
      fullUrl: each.entry.fullUrl,
      resource: prepared(each, response, target),
      request: each.id
        ? { method: "PUT", url: `${each.type}/${each.id}` }
        : { method: "POST", url: each.type, ifNoneExist: `identifier=${encodeURIComponent(each.key)}` },
    }));
    const answer = await ask("", { method: "POST", body: { resourceType: "Bundle", type: "transaction", entry } });
    if (answer.status >= 500) throw new Stop("unreachable");
    if (!answer.ok) return false;
    const entries = (await answer.json()).entry || [];
    open.forEach((each, number) => {
      const { location = "" } = (entries[number] && entries[number].response) || {};
      each.id = each.id || idIn(location, each.type);
    });
    return true;
  }

  async function oneByOne(open, response) {
    let target = "";
    for (const each of open) {
      const body = prepared(each, response, target);
      const answer = each.id
        ? await ask(`${each.type}/${each.id}`, { method: "PUT", body })
        : await ask(each.type, { method: "POST", body, headers: { "if-none-exist": `identifier=${encodeURIComponent(each.key)}` } });
      if (answer.status >= 500) throw new Stop("unreachable");
      if (!answer.ok) {
        each.reason = answer.status === 403 ? "not-permitted" : "refused";
        continue;
      }
      each.id = each.id || idIn(answer.headers.get("location") || "", each.type) || (await idOf(answer));
      if (each.entry === response && each.id) target = `${each.type}/${each.id}`;
    }
  }

  function idIn(location, type) {
    const found = new RegExp(`(?:^|/)${type}/([A-Za-z0-9.-]{1,64})(?:/|$)`).exec(location);
    return found ? found[1] : "";
  }

  async function idOf(answer) {
    try {
      return (await answer.json()).id || "";
    } catch {
      return "";
    }
  }

  // The way in.

  /** Offers a tab of its own where a frame may keep nothing. */
  function offerTab() {
    if (window.top === window) return show(say("no-storage"));
    const link = element("a", say("new-tab"), { href: location.href, target: "_blank", rel: "noopener", class: "btn" });
    return show(say("new-tab-heading"), element("p", say("new-tab-text")), link);
  }

  function chooseEhr() {
    const questionnaire = new URLSearchParams(location.search).get("questionnaire") || "";
    const choices = settings.ehrs.map((ehr) => {
      const made = element("button", ehr.name, { type: "button", class: "btn" });
      made.addEventListener("click", () => attempt(() => begin(ehr, { questionnaire })));
      return made;
    });
    show(say("which-ehr"), element("p", say("which-ehr-text")), ...choices);
  }

  async function goOn() {
    await showRecord();
    const { form } = kept(SESSION);
    const known = settings.forms.find((each) => each.slug === form);
    if (kept(PENDING)) {
      show(known ? known.title : say("pending"));
      return offerToSave("pending");
    }
    if (known && (await window.questionnaireForm.open(known.address))) return tellLimits();
    return openForm();
  }

  async function start() {
    const query = new URLSearchParams(location.search);
    if (!storage) return offerTab();
    if (settings.launch) {
      storage.clear();
      const [launch, questionnaire] = ["launch", "questionnaire"].map((name) => query.get(name) || "");
      return begin(settings.ehrs[0], { launch, questionnaire });
    }
    if (["code", "state", "error"].some((name) => query.has(name))) {
      await finish(query);
      return goOn();
    }
    const again = taken(AGAIN);
    if (again) return begin(ehrOf(again), again);
    if (!kept(SESSION)) return chooseEhr();
    client = await FHIR.oauth2.ready();
    return goOn();
  }

  attempt(start);
})();
