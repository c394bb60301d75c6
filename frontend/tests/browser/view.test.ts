import { afterEach, expect, test } from 'vitest';
import { h, keep, render } from '../../src/view.ts';

const polluted = Object.prototype as Record<string, unknown>;

afterEach(() => {
  document.body.replaceChildren();
  for (const name of ['title', 'key', 'value', 'onclick']) delete polluted[name];
});

function root(): HTMLElement {
  return document.body.appendChild(document.createElement('div'));
}

test('an attribute that is not given any more is gone, not empty', () => {
  const place = root();
  const link = (attributes: object) => render(h('a', attributes, 'x'), place);
  const all = { id: 'i', href: '/x', title: 't', lang: 'en', 'aria-label': 'a', tabIndex: -1 };
  link(all);
  const node = place.firstElementChild as HTMLElement;
  expect(node.getAttributeNames().sort()).toEqual(['aria-label', 'href', 'id', 'lang', 'tabindex', 'title']);
  link({ ...all, href: undefined, title: null });
  expect(node.getAttributeNames().sort()).toEqual(['aria-label', 'id', 'lang', 'tabindex']);
  link({});
  expect(node.getAttributeNames()).toEqual([]);
  expect(place.firstElementChild).toBe(node);
});

test('neighbours keep their nodes when one between them comes or goes', () => {
  const place = root();
  const draw = (on: boolean) =>
    render(h('div', null, h('p', null), on && h('b', null), null, [h('i', null)], 0), place);
  draw(false);
  const [p, i] = place.querySelectorAll('p, i');
  draw(true);
  expect([...(place.firstElementChild?.children ?? [])].map((node) => node.localName)).toEqual(['p', 'b', 'i']);
  draw(false);
  expect([...place.querySelectorAll('p, b, i')]).toEqual([p, i]);
  expect(place.textContent).toBe('0');
});

test('a key may be any word, also one that all objects have', () => {
  const place = root();
  const draw = (keys: string[]) =>
    render(
      h(
        'ul',
        null,
        keys.map((key) => h('li', { key }, key)),
      ),
      place,
    );
  const words = ['constructor', '__proto__', 'toString', 'undefined', 'a'];
  draw(words);
  const first = place.querySelector('li');
  draw([...words].reverse());
  expect([...place.querySelectorAll('li')].map((one) => one.textContent)).toEqual([...words].reverse());
  expect(place.querySelector('li:last-child')).toBe(first);
});

test('a polluted prototype of all objects changes nothing', () => {
  const place = root();
  Object.assign(polluted, { title: 'polluted', key: 'polluted', value: 'polluted', onclick: () => {} });
  const draw = (text: string) => render(h('p', null, h('input', { type: 'text' }), h('b', { id: 'x' }, text)), place);
  draw('one');
  draw('two');
  expect(place.innerHTML).toBe('<p><input type="text"><b id="x">two</b></p>');
  expect(place.querySelector('input')?.value).toBe('');
});

test('what is kept is made again when what it is made from is another', () => {
  const owner = {};
  let count = 0;
  const make = () => ++count;
  expect(keep(owner, 'a', [1, owner], make)).toBe(1);
  expect(keep(owner, 'a', [1, owner], make)).toBe(1);
  expect(keep(owner, 'a', [1, {}], make)).toBe(2);
  expect(keep(owner, 'b', [1, owner], make)).toBe(3);
  expect(keep({}, 'b', [1, owner], make)).toBe(4);
});
