/** Answers as paths: what may be answered, what is on screen, and how a difference becomes a body. No DOM here. */
import type {
  Answer,
  Answers,
  CenterDocument,
  Condition,
  Control,
  MatrixControl,
  Option,
  Preferences,
  Row,
} from '../api/types.ts';

/** `block.control[.row[.column]]`: the form in which `pending`, `hidden`, `applied` and errors name things, too. */
export type Path = string;
export type Draft = ReadonlyMap<Path, Answer>;

/** One thing that can be answered. */
export interface Leaf {
  path: Path;
  /** In words, for the error summary. */
  label: string;
  required: boolean;
  /** The paths and conditions that must all let it show. */
  shown: readonly { path: Path; when?: Condition | null | undefined }[];
  /** The keys it accepts; null means anything. */
  keys: readonly string[] | null;
}

const keysOf = (options: readonly Option[]) => options.map((option) => option.key);

/** The rows of a matrix: the document's, and those that only this contact sees. */
export function rowsOf(block: string, control: MatrixControl, preferences: Preferences | null): readonly Row[] {
  return [...control.rows, ...(preferences?.private?.[block]?.[control.name] ?? [])];
}

/** The columns that a row offers. */
export function columnsOf(control: MatrixControl, row: Row): readonly Option[] {
  return control.columns.filter((column) => !row.columns || row.columns.includes(column.key));
}

/** Personal data is masked for whoever came by a plain link: mails are forwarded. */
export function isMasked(control: Control, preferences: Preferences | null): boolean {
  return !!control.personal && preferences?.assurance !== 'fresh';
}

/** Everything that the person may answer now, hidden or not. */
export function leaves(document: CenterDocument, preferences: Preferences | null): Map<Path, Leaf> {
  const all = new Map<Path, Leaf>();
  for (const block of document.blocks) {
    for (const control of block.controls) {
      if (control.locked || isMasked(control, preferences)) continue;
      const { type, label, when } = control;
      const path = `${block.id}.${control.name}`;
      const required = !!control.required;
      const shown = [{ path: block.id }, { path, when }];
      const add = (at: Path, name: string, keys: readonly string[] | null, parts = shown) =>
        all.set(at, { path: at, label: name, required, shown: parts, keys });
      if (type === 'one_of' || type === 'many_of' || type === 'select') add(path, label, keysOf(control.options));
      else if (type === 'toggle' || type === 'text' || type === 'date' || type === 'scale') add(path, label, null);
      else if (type === 'matrix') {
        for (const row of rowsOf(block.id, control, preferences)) {
          if (row.locked) continue;
          const at = `${path}.${row.key}`;
          const parts = [...shown, { path: at, when: row.when }];
          const columns = columnsOf(control, row);
          if (control.cell === 'one_of') add(at, row.label, keysOf(columns), parts);
          else if (control.single) add(at, row.label, null, parts);
          else for (const one of columns) add(`${at}.${one.key}`, `${row.label}, ${one.label}`, null, parts);
        }
      }
    }
  }
  return all;
}

/** The answer at a path. Own properties only, so that a key like `constructor` finds nothing. */
export function read(answers: Answers, path: Path): Answer | undefined {
  let at: Answers | Answer | undefined = answers;
  for (const key of path.split('.')) {
    if (typeof at !== 'object' || at === null || Array.isArray(at) || !Object.hasOwn(at, key)) return undefined;
    at = (at as Answers)[key];
  }
  return at as Answer | undefined;
}

/** Whether nothing was chosen. An unticked box counts: what was never asked is drawn unticked. */
export function isEmpty(value: Answer | undefined): boolean {
  return value === undefined || value === null || value === false || value === '' || (isList(value) && !value.length);
}

export function same(a: Answer | undefined, b: Answer | undefined): boolean {
  if (isList(a) && isList(b)) return a.length === b.length && a.every((key) => b.includes(key));
  return a === b || (isEmpty(a) && isEmpty(b));
}

/** Held against the answer on screen; absent counts as null. Of a list, one member is enough. */
export function holds(when: Condition, value: Answer | undefined): boolean {
  const values = isList(value) ? value : [value ?? null];
  const among = (list: readonly unknown[]) => values.some((one) => list.includes(one));
  return 'in' in when ? among(when.in) : !among(when.not_in);
}

/** `{block: {control: ...}}` of a difference. Without prototypes: a key may be `__proto__`. */
export function nest(entries: Iterable<readonly [Path, Answer]>): Answers {
  const root: Record<string, unknown> = Object.create(null);
  for (const [path, value] of entries) {
    const keys = path.split('.');
    const last = keys.pop() as string;
    let at = root;
    for (const key of keys) {
      at[key] ??= Object.create(null);
      at = at[key] as Record<string, unknown>;
    }
    at[last] = value;
  }
  return root as Answers;
}

function isList(value: Answer | undefined): value is readonly string[] {
  return Array.isArray(value);
}
