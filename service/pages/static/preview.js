/* The preview for authors follows each answer, and each change of the files: it asks the server for itself again.
   Without this script a button does so. */
'use strict';
(() => {
  const main = () => document.querySelector('main.preview');
  const form = () => document.getElementById('answers');
  let last = 0; // the newest question to the server; an older answer is not shown any more
  let waiting = 0;

  function ask(method, address, fields) {
    return new Promise((resolve) => {
      const request = new XMLHttpRequest();
      request.open(method, address);
      request.responseType = 'document';
      request.timeout = 60000;
      request.onloadend = () => resolve(request);
      request.send(fields && new URLSearchParams(fields));
    });
  }

  async function update(action) {
    clearTimeout(waiting);
    last += 1;
    const number = last;
    const fields = new FormData(form());
    fields.set('action', action);
    main().setAttribute('aria-busy', 'true');
    const { response } = await ask('POST', form().getAttribute('action'), fields);
    if (number !== last) return;
    main().removeAttribute('aria-busy');
    if (response && response.querySelector('main.preview')) show(response, action);
  }

  // Puts the new page in place of this one; the focus, what is unfolded and what is in sight stay.
  function show(page, action) {
    const next = page.querySelector('main.preview');
    const [focused, columns] = [document.activeElement, [...main().querySelectorAll('.col')]];
    const named = place(focused);
    const unfolded = new Map([...main().querySelectorAll('details')].map((details) => [summary(details), details.open]));
    const tops = columns.map((column) => column.scrollTop);
    const selection = /^(text|textarea)$/.test(focused.type) ? [focused.selectionStart, focused.selectionEnd] : null;
    if (page.documentElement.lang !== document.documentElement.lang) {
      for (const part of ['.skip', 'header']) document.querySelector(part).replaceWith(page.querySelector(part));
      document.documentElement.lang = page.documentElement.lang;
    }
    document.title = page.title;
    for (const element of next.querySelectorAll('[autofocus]')) element.removeAttribute('autofocus');
    main().replaceWith(next);
    begin();
    for (const details of next.querySelectorAll('details')) {
      if (unfolded.has(summary(details))) details.open = unfolded.get(summary(details));
    }
    if (action !== 'case') [...next.querySelectorAll('.col')].forEach((column, index) => { column.scrollTop = tops[index]; });
    const again = [...next.querySelectorAll('a, button, input, select, textarea, summary, [tabindex]')].find((one) => place(one) === named);
    if (again) again.focus({ preventScroll: true });
    if (again && selection) again.setSelectionRange(...selection);
  }

  const place = (element) => [element.localName, element.name || element.id || element.parentElement.dataset.state || element.textContent.trim(), element.type === 'radio' || element.type === 'checkbox' || element.localName === 'button' ? element.value : ''].join(' ');
  const summary = (details) => (details.dataset.state || details.querySelector('summary').textContent.trim());

  function begin() {
    main().classList.add('live');
  }

  // Text is sent once nobody types for a moment, everything else at once.
  addEventListener('input', ({ target }) => {
    last += 1;
    clearTimeout(waiting);
    waiting = setTimeout(() => update(''), /radio|checkbox|select/.test(target.type) ? 0 : 300);
  });
  addEventListener('change', ({ target }) => {
    if (target.id === 'case') update('case');
  });

  // A question of the result that is open leads to its field; nothing else in it can be sent.
  addEventListener('submit', (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    const { value } = event.submitter;
    if (form().contains(event.target)) {
      update(value);
    } else if (value.startsWith('change:')) {
      const field = [...form().elements].find((one) => one.name.slice(2) === value.slice('change:'.length));
      if (field) field.focus();
    }
  }, true);

  // The files: once they have changed, the answers on the page are scored by the new ones.
  async function look() {
    const address = new URL(form().getAttribute('action'), location.href);
    address.searchParams.set('known', main().dataset.edition);
    const { status } = await ask('GET', address);
    if (status === 200) await update('');
    setTimeout(look, 1000);
  }

  addEventListener('DOMContentLoaded', () => {
    begin();
    look();
  });
})();
