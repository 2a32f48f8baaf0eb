/* The form without waiting: what an answer opens appears at once, pages are swapped in place, and nothing is lost.
   Every page works without this script: the server decides what is asked, and reads every answer again. */
'use strict';
(() => {
  const main = () => document.querySelector('main');
  const form = () => document.querySelector('main form');
  const tell = (name, detail) => document.dispatchEvent(new CustomEvent('questionnaire:' + name, { detail }));

  function state() {
    const field = document.querySelector('main input[name=state]');
    return field ? field.value : '';
  }

  // What is kept in this tab: the signed state, the page, and what was typed but not yet taken. Gone with the tab.
  let home = location.pathname; // where the form is posted to
  let kept = { drafts: {} };

  function recall() {
    home = form() ? form().getAttribute('action') : home; // form.action would be the buttons of that name
    try { return JSON.parse(sessionStorage.getItem('questionnaire:' + home)); } catch { return null; }
  }
  function keep() {
    try { sessionStorage.setItem('questionnaire:' + home, JSON.stringify(kept)); } catch { /* a frame may have no storage */ }
  }
  function forget() {
    kept = { drafts: {} };
    try { sessionStorage.removeItem('questionnaire:' + home); } catch { /* then there is nothing to remove */ }
  }

  // Answers on the page. What is closed, or stands in something closed, has none.
  const controls = (name) => [...form().elements].filter((control) => control.name === name);
  const open = (name) => controls(name).filter((control) => !control.closest('[hidden]'));
  const isTicked = (control) => control.checked || !/radio|checkbox/.test(control.type);

  function answers(linkId) {
    const given = open('q.' + linkId).concat(open('o.' + linkId)).filter(isTicked).map((control) => control.value.trim());
    const [day, month, year] = ['d.', 'm.', 'y.'].map((part) => open(part + linkId).map((box) => box.value.trim()).join());
    if (year) given.push([year, month.padStart(2, '0'), day.padStart(2, '0')].join('-'));
    return given.filter(Boolean);
  }

  const number = (text) => (/^[+-]?\d+([.,]\d+)?$/.test(text) ? Number(text.replace(',', '.')) : NaN);

  const relations = {
    '=': (order) => order === 0,
    '!=': (order) => order !== 0,
    '>': (order) => order > 0,
    '<': (order) => order < 0,
    '>=': (order) => order >= 0,
    '<=': (order) => order <= 0,
  };

  function holds([linkId, operator, expected]) {
    const given = answers(linkId);
    if (operator === 'exists') return String(given.length > 0) === String(expected);
    const wanted = String(expected);
    return given.some((value) => {
      const difference = number(value) - number(wanted);
      return relations[operator](Number.isNaN(difference) ? (value > wanted) - (value < wanted) : difference);
    });
  }

  // Opens and closes what depends on answers of this page, until nothing changes any more.
  function enable() {
    const dependent = [...form().querySelectorAll('[data-when]')];
    for (let round = 0, changed = true; changed && round <= dependent.length; round += 1) {
      changed = false;
      for (const element of dependent) {
        const [any, conditions] = JSON.parse(element.dataset.when);
        const closed = !(any ? conditions.some(holds) : conditions.every(holds));
        changed ||= element.hidden !== closed;
        element.hidden = closed;
      }
    }
  }

  // What the form adds up from answers of this page: terms of numbers, and of questions with the points of their
  // options. What only the server can work out is left empty as soon as something changes.
  function total(isChanged) {
    for (const output of form().querySelectorAll('[data-total]')) {
      const [places, terms] = JSON.parse(output.dataset.total);
      if (!terms.length && !isChanged) continue;
      const points = ([linkId, weights]) => answers(linkId).map((value) => (weights ? weights[value] : number(value)));
      const sums = terms.map(([needed, ...parts]) => {
        const values = parts.flatMap((part) => (part.length ? points(part) : part)).filter((value) => value !== undefined);
        return needed && values.length !== 1 ? NaN : values.reduce((sum, value) => sum + value, 0);
      });
      const sum = sums.reduce((before, value) => before + value, terms.length ? 0 : NaN);
      const shown = sum.toLocaleString(document.documentElement.lang, { maximumFractionDigits: places, useGrouping: false });
      output.value = Number.isNaN(sum) ? '' : output.dataset.unit ? shown + ' ' + output.dataset.unit : shown;
    }
  }

  function count() {
    for (const line of form().querySelectorAll('[data-count]')) {
      const box = document.getElementById(line.id.slice(0, -1));
      line.textContent = line.dataset.count.replace('#', String(box.maxLength - box.value.length));
    }
  }

  function refresh(isChanged) {
    enable();
    total(isChanged);
    count();
  }

  // An answer that stands alone takes back the others, and they take it back; so do one choice and words of one's own.
  function takeBack(control) {
    const linkId = control.name.slice(2);
    const others = controls('q.' + linkId).filter((other) => other !== control);
    if (control.type === 'checkbox' && control.checked) {
      for (const other of others) {
        if ('alone' in control.dataset || 'alone' in other.dataset) other.checked = false;
      }
    } else if (control.type === 'radio') {
      for (const other of controls('o.' + linkId)) other.value = '';
    } else if (control.name.startsWith('o.') && control.value) {
      for (const other of others) other.checked &&= other.type !== 'radio';
    }
  }

  // What was typed on a page and not yet taken by the server is put back after a reload and on the way back.
  const typed = () => [...form().elements].filter((control) => /^[qoudmyt]\./.test(control.name));

  function keepDraft() {
    kept.drafts[main().dataset.page] = typed().filter(isTicked).map((control) => [control.name, control.value]);
    keep();
  }

  function putBack() {
    const draft = kept.drafts[main().dataset.page];
    for (const control of draft ? typed() : []) {
      const values = draft.filter(([name]) => name === control.name).map(([, value]) => value);
      if (/radio|checkbox/.test(control.type)) control.checked = values.includes(control.value);
      else control.value = values.length ? values[0] : '';
    }
  }

  // Asking the server.
  let busy = false;

  function ask(method, address, type, fields) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open(method, address);
      request.responseType = type;
      request.timeout = 60000;
      request.setRequestHeader('Accept', type === 'json' ? 'application/fhir+json' : 'text/html');
      request.onload = () => {
        const answer = request.response;
        const fits = answer && (type === 'json' ? request.status < 400 : answer.querySelector('main[data-kind]'));
        if (fits && request.status < 500) resolve(request);
        else reject(new Error('The service answered with status ' + request.status + '.'));
      };
      request.onerror = request.ontimeout = () => reject(new Error('The service cannot be reached.'));
      const hasFile = fields && [...fields.values()].some((value) => value instanceof File);
      request.send(fields && !hasFile ? new URLSearchParams(fields) : fields);
    });
  }

  function fieldsOf(action, more) {
    const fields = new FormData(form() || undefined);
    fields.set('action', action);
    fields.set('live', '1'); // what an answer opens was seen at once
    for (const [name, value] of Object.entries(more || {})) fields.set(name, value);
    return fields;
  }

  const pause = () => new Promise((resolve) => { setTimeout(resolve); });

  // Puts the page that the service answers with in place of this one. Where none comes, this one stays and says so.
  async function turn(fields, onTaken, onLost = lost) {
    if (busy) return false;
    busy = true;
    main().setAttribute('aria-busy', 'true');
    let page = null;
    try {
      const request = await ask('POST', home, 'document', fields).catch(() => null);
      page = request && request.response;
      if (page && onTaken) onTaken(page.querySelector('main'), request.status);
      await pause(); // so that no piece of work keeps a slow phone long
    } finally {
      busy = false;
      main().removeAttribute('aria-busy');
    }
    if (page) {
      swap(page);
      begin();
    } else {
      onLost();
    }
    return Boolean(page);
  }

  function swap(page) {
    const next = page.querySelector('main');
    for (const part of page.documentElement.lang === document.documentElement.lang ? ['footer'] : ['.skip', 'header', 'footer', '#lost']) {
      const [old, other] = [document.querySelector(part), page.querySelector(part)];
      if (old && (other || part === 'footer')) old.replaceWith(other || old.cloneNode(true)); // another page has no footer that moved
    }
    document.documentElement.lang = page.documentElement.lang;
    document.title = page.title;
    for (const element of next.querySelectorAll('[autofocus]')) element.removeAttribute('autofocus'); // see focusOn below
    main().replaceWith(next);
    for (const details of document.querySelectorAll('footer [open]')) details.open = false;
    scrollTo(0, 0);
    // Once it is drawn; before that, the browser would have to lay it out at once.
    requestAnimationFrame(() => setTimeout(() => {
      if (document.activeElement === document.body) focusOn(next.querySelector('.errs') || next.querySelector('h1') || next);
    }));
  }

  function focusOn(element) {
    if (!element.hasAttribute('tabindex')) element.tabIndex = -1;
    element.focus();
  }

  function lost() {
    for (const old of main().querySelectorAll('.errs')) old.remove();
    const summary = document.getElementById('lost').content.firstElementChild.cloneNode(true);
    main().prepend(summary);
    focusOn(summary);
  }

  // What a page does once it stands. A result is not kept in the tab; everything before it is.
  const hasQuestions = () => /question|check/.test(main().dataset.kind);

  function begin() {
    const { page, kind, status } = main().dataset;
    if (!kind) return; // the form comes later
    if (hasQuestions()) {
      kept.state = state();
      kept.page = page;
      kept.query = location.search;
      putBack();
      refresh(page in kept.drafts);
      keep();
    } else {
      forget();
    }
    for (const button of document.querySelectorAll('[data-print]')) button.hidden = false;
    tell('page', { page, kind });
    if (state()) tell('answers', { state: state() });
    if (/result|emergency/.test(kind)) tell('result', { state: state(), status });
  }

  // A page that was just asked for goes on where this tab was; says whether it did.
  async function arrive() {
    const before = recall();
    const { page } = main().dataset;
    pause().then(() => history.replaceState({ page }, ''));
    if (before && 'intro' in main().dataset) {
      kept = before;
      const isNew = /[?&]language=/.test(location.search) && before.query !== location.search; // another link, not a reload
      return show(before.page, isNew ? 'language:' + document.documentElement.lang : 'show');
    }
    begin();
    return false;
  }

  function send(action) {
    const here = main().dataset.page;
    const isPart = hasQuestions() && !/^(resume|language)/.test(action); // these two may change the language
    return turn(fieldsOf(action, isPart ? { part: 'main' } : {}), ({ dataset: { page } }, status) => {
      const forgets = /^(restart|delete)$/.test(action) || (status < 400 && /^(resume|compare)$/.test(action)); // of a file, only what it says
      if (forgets) forget();
      else if (page !== here) delete kept.drafts[here];
      if (forgets || page === here) history.replaceState({ page }, '');
      else history.pushState({ page }, '');
    }, action === 'restart' ? leave : lost);
  }

  // Who wants their answers gone does not leave them on the screen because the connection is.
  function leave() {
    forget();
    location.replace(location.pathname + location.search);
  }

  function show(page, action = 'show') {
    if (!kept.state && !state()) leave();
    return turn(fieldsOf(action, { page, state: kept.state || state() }));
  }

  // What people do.
  document.addEventListener('submit', (event) => {
    const button = event.submitter;
    if (!button || 'native' in button.dataset || !event.target.closest('main')) return;
    event.preventDefault();
    send(button.value);
  });

  document.addEventListener('input', (event) => {
    if (!form() || !typed().includes(event.target)) return;
    takeBack(event.target);
    refresh(true);
    keepDraft();
  });

  document.addEventListener('click', (event) => {
    const at = (selector) => event.target.closest(selector);
    if (at('[data-print]')) print();
    if (at('.errs a')) {
      event.preventDefault();
      const field = document.getElementById(at('.errs a').hash.slice(1));
      (field.closest('.f') || field).scrollIntoView();
      field.focus({ preventScroll: true });
    }
  });

  addEventListener('popstate', (event) => {
    const place = event.state; // none: a link inside the page
    if (place && place.page && place.page !== main().dataset.page) show(place.page);
  });

  // What the page around the form, or an app that reads a chart, may ask for.
  window.questionnaireForm = Object.freeze({
    state,
    export: async () => (await ask('POST', home, 'json', fieldsOf('export'))).response,
    async open(address) {
      swap((await ask('GET', address, 'document')).response);
      return arrive();
    },
    async resume(response, earlier) {
      const beside = earlier ? { earlier: JSON.stringify(earlier) } : {}; // of the same person, to compare with
      const isTaken = await turn(fieldsOf('resume', { response: JSON.stringify(response), ...beside }), (next, status) => {
        // What is handed over and refused changes nothing here.
        if (status >= 400) throw new Error((next.querySelector('.errs') || next.querySelector('h1')).textContent.trim().replace(/\s+/g, ' '));
        forget();
      });
      const leftOut = main().querySelector('.errs');
      if (!isTaken || leftOut) throw new Error(leftOut ? leftOut.textContent.trim() : 'The form is busy.');
      history.replaceState({ page: main().dataset.page }, '');
    },
  });

  document.addEventListener('DOMContentLoaded', arrive); // scripts that follow this one hear of the first page too
})();
