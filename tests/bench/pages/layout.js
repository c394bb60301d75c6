// A center of 40 topics on three channels, drawn by the element and by hand, in turns, in one page.
//
// Both get the same document and preferences by the same `fetch`, draw the same markup with the same style sheet, and
// keep what a person changed. What the hand-written page lacks is all the rest: errors, locks, conditions, merging.

const make = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};

async function byHand(place, base, css) {
  const root = place.attachShadow({ mode: 'open' });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  root.adoptedStyleSheets = [sheet];
  const [center, opened] = await Promise.all([
    fetch(base).then((answer) => answer.json()),
    fetch(`${base}preferences/`).then((answer) => answer.json()),
  ]);
  const draft = new Map();
  const status = make('div', { role: 'status', part: 'status' });
  const foot = make('div', { class: 'foot' }, status);
  const discard = make('button', { type: 'button', class: 'button' }, center.labels.discard);
  const save = make('button', { class: 'button primary' }, center.labels.save);
  const actions = make('div', { part: 'actions' }, save);
  foot.append(actions);
  const form = make('form', { id: 'form', part: 'form' }, make('header', {}, make('h2', {}, center.title)));
  for (const block of center.blocks) {
    const section = make('section', { part: 'block' }, make('h3', { part: 'title' }, block.heading));
    for (const control of block.controls) {
      const head = make('tr', { role: 'row' }, make('td'));
      for (const column of control.columns)
        head.append(make('th', { scope: 'col', role: 'columnheader', id: `${control.name}..${column.key}` }, column.label));
      const body = make('tbody', { role: 'rowgroup' });
      for (const row of control.rows) {
        const path = `${block.id}.${control.name}.${row.key}`;
        const name = make(
          'div',
          { class: 'row' },
          make(
            'div',
            {},
            make('span', { class: 'label', id: `${path}.name` }, row.label),
            make('div', { class: 'notes', id: `${path}.notes` }, make('p', { class: 'help' }, row.help)),
          ),
        );
        const line = make('tr', { role: 'row' }, make('th', { scope: 'row', role: 'rowheader', abbr: row.label }, name));
        for (const column of control.columns) {
          const held = opened.answers[block.id]?.[control.name]?.[row.key]?.[column.key] === true;
          const input = make('input', {
            type: 'checkbox',
            id: `${path}.${column.key}`,
            'aria-labelledby': `${path}.name ${control.name}..${column.key}`,
            'aria-describedby': `${path}.notes`,
          });
          input.checked = held;
          input.addEventListener('change', () => {
            if (input.checked === held) draft.delete(input.id);
            else draft.set(input.id, input.checked);
            status.textContent = draft.size ? center.labels.unsaved : '';
            foot.className = draft.size ? 'foot up' : 'foot';
            if (draft.size) actions.prepend(discard);
            else discard.remove();
          });
          line.append(make('td', { role: 'cell' }, make('label', { part: 'option' }, input, make('span', {}, column.label))));
        }
        body.append(line);
      }
      const table = make('table', { part: 'topics', role: 'table' });
      table.append(make('thead', { role: 'rowgroup' }, head), body);
      section.append(make('div', { part: 'field' }, table));
    }
    form.append(section);
  }
  root.append(make('div', { class: 'center' }, form, foot));
  return root;
}

async function byElement(place, base) {
  const element = make('preference-center', { src: base });
  const loaded = new Promise((resolve) => element.addEventListener('preference-center-loaded', resolve, { once: true }));
  place.append(element);
  await loaded;
  return element.shadowRoot;
}

/** Milliseconds until it is laid out, and for each change of an answer until that is. */
async function measure(draw, base, css, changes) {
  const place = make('div');
  document.body.append(place);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const start = performance.now();
  const root = await draw(place, base, css);
  place.getBoundingClientRect();
  const drawn = performance.now() - start;
  const inputs = [...root.querySelectorAll('input')];
  const changed = [];
  for (let number = 0; number < changes; number++) {
    const input = inputs[(number * 37) % inputs.length];
    const begun = performance.now();
    input.click();
    place.getBoundingClientRect();
    changed.push(performance.now() - begun);
  }
  const count = inputs.length;
  place.remove();
  return { drawn, changed, count };
}

window.run = async (base, css, rounds, changes) => {
  const found = { element: [], hand: [] };
  for (let round = 0; round < rounds; round++) {
    found.element.push(await measure(byElement, base, css, changes));
    found.hand.push(await measure(byHand, base, css, changes));
  }
  return found;
};
