/**
 * What the element offers to a page, out of the comments in `src/element.tsx`: as `custom-elements.json` for editors and
 * for the package, and as a page of the documentation. `npm run manifest` writes both (`--package`: the first alone); a test holds
 * them to the code.
 */
import { readFileSync, writeFileSync } from 'node:fs';
// @ts-expect-error its types leave out what its page says is for this use
import { create, ts } from '@custom-elements-manifest/analyzer';

interface Named {
  name: string;
  description?: string;
  type?: { text: string };
}

interface Member extends Named {
  kind: 'field' | 'method';
  privacy?: string;
  static?: boolean;
  readonly?: boolean;
  attribute?: string;
}

/** The one class of our manifest: https://github.com/webcomponents/custom-elements-manifest */
export interface Declaration extends Named {
  tagName: string;
  superclass: { name: string };
  attributes: Named[];
  members: Member[];
  events: Named[];
  slots: Named[];
  cssParts: Named[];
  cssProperties: Named[];
  cssStates: Named[];
}

export interface Manifest {
  schemaVersion: string;
  modules: { kind: string; path: string; declarations: Declaration[]; exports: unknown[] }[];
}

const MODULE = 'src/element.tsx';
const PAGE = new URL('../../docs/reference/element.md', import.meta.url);
/** Where the class stands in the package. */
const SHIPPED = 'dist/preference-center.js';
/** What every element has. */
const CALLBACK = /^(observedAttributes|constructor|.+Callback)$/;

export function manifest(): Manifest {
  const source = readFileSync(new URL(`../${MODULE}`, import.meta.url), 'utf-8');
  const made = create({
    modules: [ts.createSourceFile(MODULE, source, ts.ScriptTarget.ES2022, true)],
    plugins: [],
    context: { dev: false },
  }) as unknown as Manifest;
  for (const module of made.modules) {
    module.path = SHIPPED;
    module.declarations = module.declarations.filter(({ tagName }) => tagName);
    for (const declaration of module.declarations) {
      declaration.members = declaration.members.filter(
        ({ name, privacy, static: of }) =>
          !of && privacy !== 'private' && !name.startsWith('#') && !CALLBACK.test(name),
      );
      // Found in the code, where its name is put together; the comment names each.
      declaration.events = declaration.events.filter(({ name }) => name);
      declaration.superclass = { name: 'HTMLElement' };
    }
  }
  // The shipped file bundles the class and defines the tag.
  const [only] = made.modules;
  const declaration = only?.declarations[0];
  if (!only || !declaration) throw new Error('no element was found');
  const at = { name: declaration.name, module: SHIPPED };
  only.exports = [
    { kind: 'js', name: declaration.name, declaration: at },
    { kind: 'custom-element-definition', name: declaration.tagName, declaration: at },
  ];
  return JSON.parse(JSON.stringify(made).replaceAll(MODULE, SHIPPED));
}

/** `docs/reference/element.md`. */
export function page({ modules }: Manifest): string {
  const element = modules[0]?.declarations[0] as Declaration;
  const rows = (named: readonly Named[], name: (one: Named) => string) =>
    named.map((one) => `| \`${name(one)}\` | ${cell(one.description ?? '')} |\n`).join('');
  const table = (heading: string, named: readonly Named[], name = (one: Named) => one.name, text = '') =>
    `\n## ${heading}\n\n${text}| | |\n|---|---|\n${rows(named, name)}`;
  const typed = ({ name, type }: Named) => (type ? `${name}: ${type.text}` : name).replaceAll('|', '\\|');
  return `<!-- Made from frontend/src/element.tsx by \`npm --prefix frontend run manifest\`. -->
# \`<${element.tagName}>\`

${element.description}

How to put it into a page: [how-to](../how-to/embed/index.md).
${table('Attributes', element.attributes, typed, 'A change of `src` or `locale` loads anew; one of `theme` shows at once.\n\n')}${table(
  'Properties',
  element.members,
  (one) => `${typed(one)}${(one as Member).readonly ? ' (to read)' : ''}`,
)}${table(
  'Events',
  element.events,
  (one) => `${one.name}`,
  'They bubble, also out of shadow roots, and cannot be cancelled. Nothing in them is about a person.\n\n',
)}
Their \`detail\`:

| | |
|---|---|
${element.events.map((one) => `| \`${one.name}\` | \`${detail(one)}\` |\n`).join('')}${table(
  'Children',
  element.slots,
  ({ name }) => name || '(all)',
)}${table(
  'Parts',
  element.cssParts,
  ({ name }) => `::part(${name})`,
  'Names stay; what stands inside a part may change. Size, place and colour of a part are safe to change.\n\n',
)}${table('CSS properties', element.cssProperties, undefined, 'What is not given follows the page.\n\n')}${table(
  'States',
  element.cssStates,
  ({ name }) => `:state(${name})`,
)}
## The class

The script defines the tag, once, however often it stands in a page, and exports the class \`${element.name}\`. It can be imported
where there is no DOM, as in a server's render.
`;
}

/** What is between the brackets of CustomEvent<...>. */
function detail({ type }: Named): string {
  return (/^CustomEvent<(.*)>$/.exec(type?.text ?? '')?.[1] ?? '').replaceAll('|', '\\|');
}

function cell(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ').replaceAll('|', '\\|');
}

if (import.meta.main) {
  const made = manifest();
  writeFileSync(new URL('../custom-elements.json', import.meta.url), `${JSON.stringify(made, null, 2)}\n`);
  if (!process.argv.includes('--package')) writeFileSync(PAGE, page(made));
}
