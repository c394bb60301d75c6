import { afterEach, expect, vi } from 'vitest';
import type { FakeServer } from '../../dev/fake-server.ts';
import '../../src/define.ts';
import type { PreferenceCenterElement } from '../../src/define.ts';
import { takeCode } from '../../src/state/session.ts';
import { newServer } from '../center.ts';

export interface Mounted {
  server: FakeServer;
  element: PreferenceCenterElement;
  root: ShadowRoot;
  /** The field, or cell, with this path. */
  field(path: string): HTMLInputElement;
  one(selector: string): HTMLElement;
  all(selector: string): HTMLElement[];
  /** What the status line says. */
  status(): string;
  /** The names of the custom states the element is in. */
  states(): string[];
  save(): void;
}

interface Options {
  document?: unknown;
  /** Null: nobody opened a link. */
  code?: string | null;
  attributes?: Record<string, string>;
  change?: (server: FakeServer) => void;
  /** Wait until it has loaded; by default it does. */
  until?: 'preference-center-loaded' | 'preference-center-failed' | null;
}

const ends: (() => void)[] = [];

afterEach(() => {
  for (const end of ends.splice(0)) end();
  document.body.replaceChildren();
  document.body.removeAttribute('style');
  sessionStorage.clear();
  // A code that was refused waits for another center of its server: let none find it.
  takeCode('https://cms.example/', { hash: '#pc=', pathname: '', search: '' } as Location, history);
  history.replaceState(null, '', location.pathname + location.search);
});

/** Puts an element into the page, over a server of its own. */
export async function mount(options: Options = {}): Promise<Mounted> {
  const { document: json, code, attributes = {}, change, until = 'preference-center-loaded' } = options;
  const server = newServer(json);
  ends.push(server.install());
  change?.(server);
  const word = code === undefined ? `code-${Math.random()}` : code;
  if (word) {
    server.codes.add(word);
    history.replaceState(null, '', `#pc=${word}`);
  }
  const element = document.createElement('preference-center');
  for (const [name, value] of Object.entries({ src: server.src, ...attributes })) element.setAttribute(name, value);
  element.innerHTML = '<a href="/own-page/">Manage your preferences</a>';
  const told = until && new Promise((resolve) => element.addEventListener(until, resolve, { once: true }));
  document.body.append(element);
  await told;
  return around(element, server);
}

export function around(element: PreferenceCenterElement, server: FakeServer): Mounted {
  const root = element.shadowRoot as ShadowRoot;
  const one = (selector: string) => root.querySelector(selector) as HTMLElement;
  return {
    server,
    element,
    root,
    field: (path) => root.getElementById(path) as HTMLInputElement,
    one,
    all: (selector) => [...root.querySelectorAll<HTMLElement>(selector)],
    status: () => one('[role=status]').textContent?.trim() ?? '',
    states: () =>
      ['dirty', 'saving', 'saved', 'offline', 'expired'].filter((name) => element.matches(`:state(${name})`)),
    save: () => one('[part=save]').click(),
  };
}

/** The bodies of all saves that the server got. */
export const saves = ({ server }: Mounted) => server.sent('PATCH', 'preferences/').map((request) => request.body);

export const saved = (center: Mounted, count = 1) =>
  vi.waitFor(() => {
    expect(center.server.sent('PATCH', 'preferences/')).toHaveLength(count);
    expect(center.states()).not.toContain('saving');
  });

/** Sets a value as a person does. */
export function fill(input: HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement, value: string): void {
  input.value = value;
  input.dispatchEvent(new Event('input', { bubbles: true }));
  input.dispatchEvent(new Event('change', { bubbles: true }));
}
