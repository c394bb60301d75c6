import { afterEach, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import type { CenterDocument, Preferences } from '../../src/api/types.ts';
import { App } from '../../src/app.tsx';
import { leavesOf } from '../../src/state/answers.ts';
import { SessionKeeper } from '../../src/state/session.ts';
import { type Phase, Store } from '../../src/state/store.ts';
import { h, render } from '../../src/view.ts';
import { center, prefs } from '../center.ts';

afterEach(() => document.body.replaceChildren());

/** Numbers from 0 up to 1 that are the same in each run (mulberry32). */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** All there is to see: elements, attributes, texts, and what inputs hold. */
function seen(node: Node): unknown {
  if (!(node instanceof Element)) return node.textContent;
  const { checked, value, disabled } = node as HTMLInputElement;
  const attributes = Object.fromEntries([...node.attributes].map((one) => [one.name, one.value]));
  const children = [...node.childNodes].filter((child) => child.textContent || child instanceof Element);
  return [node.localName, attributes, [checked, value, disabled], children.map(seen)];
}

function root(): HTMLElement {
  return document.body.appendChild(document.createElement('div'));
}

function newStore(listener = () => {}): Store {
  const client = new Client('https://cms.example/api/', 'en');
  return new Store(client, new SessionKeeper(client.base, () => sessionStorage), listener);
}

test.each([1, 2, 3, 4])('after any changes everything looks as if it were drawn anew (%i)', (seed) => {
  const random = numbers(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const some = <T>(list: readonly T[], share: number): T[] => list.filter(() => random() < share);
  const place = root();
  const store: Store = newStore(() => render(h(App, { store } as never), place));
  const rows = center.blocks.flatMap((block) =>
    block.controls.flatMap((control) => {
      const { rows = [] } = control as { rows?: readonly { key: string }[] };
      return rows.map((row) => `${block.id}.${control.name}.${row.key}`);
    }),
  );
  const paths = [...leavesOf(center, prefs).keys()];

  const answers = (): Preferences['answers'] => ({
    ...prefs.answers,
    topics: { choices: Object.fromEntries(some(['news', 'tips', 'events'], 0.5).map((key) => [key, { email: true }])) },
    often: { frequency: Object.fromEntries(some(['all', 'topic-news'], 0.5).map((key) => [key, 'daily'])) },
  });
  const newPreferences = (): Preferences => ({
    ...prefs,
    answers: answers(),
    version: random(),
    assurance: pick(['link', 'fresh']),
    pending: some(paths, 0.1),
    hidden: some([...rows, ...paths, ...center.blocks.map((block) => block.id)], 0.1),
    ...(random() < 0.5 && { private: {} }),
  });
  const newDocument = (): CenterDocument => ({
    ...center,
    title: `Title ${random()}`,
    labels: { ...center.labels, pending: `Waits ${random()}`, locked: `Locked ${random()}` },
    blocks: some(center.blocks, 0.9).map((block) => ({
      ...block,
      controls: some(block.controls, 0.9).map((control) =>
        control.type === 'matrix'
          ? {
              ...control,
              rows: some(control.rows, 0.8).map((row) => ({
                ...row,
                label: random() < 0.2 ? `${row.label} ${random()}` : row.label,
                locked: random() < 0.2 ? 'Locked' : (row.locked ?? null),
              })),
            }
          : control,
      ),
    })),
  });

  const changes: [number, () => void][] = [
    [
      8,
      () => {
        const boxes = [...place.querySelectorAll<HTMLElement>('[type=checkbox]:enabled, [type=radio]:enabled')];
        if (boxes[0]) pick(boxes).click();
      },
    ],
    [
      4,
      () => {
        const selects = [...place.querySelectorAll<HTMLSelectElement>('select:enabled')];
        if (!selects[0]) return;
        const select = pick(selects);
        select.selectedIndex = Math.floor(random() * select.options.length);
        select.dispatchEvent(new Event('change'));
      },
    ],
    [2, () => store.discard()],
    [3, () => Object.assign(store, { errors: new Map(some(paths, 0.1).map((path) => [path, [`No: ${random()}`]])) })],
    [1, () => Object.assign(store, { errors: new Map() })],
    [3, () => Object.assign(store, { preferences: random() < 0.9 ? newPreferences() : null })],
    [1, () => Object.assign(store, { document: newDocument() })],
    [1, () => Object.assign(store, { phase: pick<Phase>(['open', 'expired', 'closed', 'failed']) })],
    [2, () => Object.assign(store, { phase: 'open' })],
    [1, () => Object.assign(store, { busy: random() < 0.5, receipt: pick([null, 'r']) })],
    [
      1,
      () =>
        Object.assign(store, {
          outcome: pick([null, { text: 'Saved', applied: some([{ path: 'a', text: 'A' }], 0.5), merged: [] }]),
        }),
    ],
  ];
  const kinds = changes.flatMap(([times, change]) => Array<() => void>(times).fill(change));

  Object.assign(store, { document: center, preferences: prefs, phase: 'open', leaves: leavesOf(center, prefs) });
  for (let step = 0; step < 60; step++) {
    if (step) pick(kinds)();
    if (store.document) store.leaves = leavesOf(store.document, store.preferences);
    render(h(App, { store } as never), place);
    const fresh = root();
    render(h(App, { store: Object.assign(newStore(), store) } as never), fresh);
    expect(seen(place.firstChild as Node), `step ${step}`).toEqual(seen(fresh.firstChild as Node));
    fresh.remove();
  }
});

test('a row in which nothing changed is not touched', async () => {
  const place = root();
  const store: Store = newStore(() => render(h(App, { store } as never), place));
  Object.assign(store, { document: center, preferences: prefs, phase: 'open', leaves: leavesOf(center, prefs) });
  render(h(App, { store } as never), place);
  const read: string[] = [];
  const value = store.value;
  store.value = function (path) {
    read.push(path);
    return value.call(this, path);
  };
  (document.getElementById('topics.choices.news.sms') as HTMLElement).click();
  const drawn = new Set(read.map((path) => /^topics\.choices\.(\w+)\./.exec(path)?.[1]));
  drawn.delete(undefined);
  expect([...drawn]).toEqual(['news']);
  expect(store.draft.get('topics.choices.news.sms')).toBe(true);
});
