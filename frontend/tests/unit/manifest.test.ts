import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type Declaration, manifest, page } from '../../scripts/manifest.ts';

const source = new URL('../../src/', import.meta.url);
const files = readdirSync(source, { recursive: true, encoding: 'utf-8' });
const text = (pattern: RegExp) =>
  files.filter((name) => pattern.test(name)).map((name) => readFileSync(new URL(name, source), 'utf-8'));
const code = text(/\.tsx?$/).join('\n');
const styles = text(/\.css$/).join('\n');

const made = manifest();
const element = made.modules[0]?.declarations[0] as Declaration;

const found = (pattern: RegExp, where: string) =>
  [...new Set([...where.matchAll(pattern)].flatMap(([, names = '']) => names.split(/[ ,|']+/)))].filter(Boolean).sort();
const named = (list: readonly { name: string }[]) => list.map(({ name }) => name).sort();

/** What the code does, against what the manifest says of it. Each list has to be the same one in both directions. */
describe('the manifest names', () => {
  test('every part', () => {
    const parts = [...code.matchAll(/\bpart(?:=|: )(?:"([^"]+)"|.*'([a-z ]+)' : '([a-z ]+)')/g)].flatMap((match) =>
      match.slice(1).flatMap((words) => words?.split(' ') ?? []),
    );
    expect(parts.length).toBeGreaterThan(20);
    expect(named(element.cssParts)).toEqual([...new Set(parts)].sort());
    // None is put together in another way, which we would not find.
    const uses = code.match(/(?<!\[)\bpart(=|: )["{s'`]/g)?.length;
    expect([...code.matchAll(/\bpart(?:="[a-z ]+"|: style)/g)]).toHaveLength(uses ?? 0);
  });

  test('every property of the sheet', () => {
    expect(named(element.cssProperties)).toEqual(found(/var\((--pc-[\w-]+)/g, styles));
  });

  test('every event', () => {
    const [, signals = ''] = /export type Signal = ([^;]+);/.exec(code) ?? [];
    // Told inside only; every other one becomes an event.
    const inside = found(/signal === '(\w+)'/g, code);
    const outside = found(/'(\w+)'/g, signals).filter((name) => !inside.includes(name));
    expect(code.match(/dispatchEvent/g)).toHaveLength(1);
    expect(named(element.events)).toEqual(outside.map((name) => `preference-center-${name}`));
  });

  test('every state', () => {
    const [, states = ''] = /const states = \{([^}]+)\}/.exec(code) ?? [];
    const names = states.split(',').map((one) => one.split(':')[0]?.trim() ?? '');
    expect(named(element.cssStates)).toEqual(names.filter(Boolean).sort());
  });

  test('every attribute', () => {
    const watched = found(/observedAttributes = \[([^\]]+)\]/g, code);
    const styled = found(/:host\(\[(\w+)/g, styles);
    const read = found(/this\.getAttribute\('(\w+)'\)/g, code);
    expect(named(element.attributes)).toEqual([...new Set([...watched, ...styled, ...read])].sort());
  });

  test('every property and method, and no private one', () => {
    const [, body = ''] = /class PreferenceCenterElement[^{]*\{([\s\S]*?)\n\}\n/.exec(code) ?? [];
    const own = found(/^ {2}(?:readonly |get |set |async )*([a-z]\w*)(?: =|[(:])/gm, body);
    const inherited = [
      'constructor',
      'connectedCallback',
      'disconnectedCallback',
      'attributeChangedCallback',
      'adoptedCallback',
    ];
    expect(named(element.members)).toEqual(own.filter((name) => !inherited.includes(name)));
    expect(named(element.members)).toContain('dirty');
  });

  test('each in words', () => {
    const { attributes, members, events, slots, cssParts, cssProperties, cssStates } = element;
    for (const one of [...attributes, ...members, ...events, ...slots, ...cssParts, ...cssProperties, ...cssStates])
      expect(one.description, one.name).toMatch(/\.$/);
  });
});

test('the types for React name the same attributes and events', () => {
  const types = readFileSync(new URL('react.d.ts', source), 'utf-8');
  const [, attributes = ''] = /interface CenterAttributes \{([^}]+)\}/.exec(types) ?? [];
  expect(found(/^ {2}(\w+)\??:/gm, attributes)).toEqual(named(element.attributes));
  expect(found(/'on(preference-center-\w+)'/g, types)).toEqual(named(element.events));
  for (const { name, type } of element.events)
    expect(types).toContain(`'on${name}'?: ((event: ${type?.text}) => void)`);
});

test('the page of the documentation is made from it: npm run manifest', () => {
  const written = readFileSync(new URL('../../../docs/reference/element.md', import.meta.url), 'utf-8');
  expect(written).toBe(page(made));
});
