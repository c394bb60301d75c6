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

/** A block, a control or a row, as far as showing it goes. */
export interface Part {
  path: Path;
  /** Named always: what is not there may be on the prototype of all objects. */
  when: Condition | null | undefined;
}

/** One thing that can be answered. */
export interface Leaf {
  /** In words, for the error summary. */
  label: string;
  required: boolean | undefined;
  /** All of them must show. */
  parts: readonly Part[];
  /** What can be chosen; undefined means anything. */
  options: readonly Option[] | undefined;
}

/** The types of control that have one answer. */
const SINGLE = /^(toggle|(one|many)_of|select|scale|text|date)$/;

/** The rows of a matrix: the document's, and those that only this contact sees. */
export function rowsOf(block: string, control: MatrixControl, preferences: Preferences | null): readonly Row[] {
  return [...control.rows, ...(preferences?.private?.[block]?.[control.name] ?? [])];
}

/** The columns that a row offers. */
export function columnsOf({ columns }: MatrixControl, row: Row): readonly Option[] {
  return columns.filter(({ key }) => !row.columns || row.columns.includes(key));
}

/** Whether a row of the matrix has one answer, not one for each column. */
export function isFlat(control: MatrixControl): boolean {
  return control.single || control.cell === 'one_of';
}

/** Personal data is masked for whoever came by a plain link: mails are forwarded. */
export function isMasked(control: Control, preferences: Preferences | null): boolean {
  return !!control.personal && !!preferences && preferences.assurance !== 'fresh';
}

/** The document without what is about somebody who is known: her history, a pause, the way out. */
export function forNewcomers(document: CenterDocument): CenterDocument {
  const blocks = document.blocks.flatMap((block) => {
    const controls = block.controls.filter((one) => !one.of_contact && !/^(action|records)$/.test(one.type));
    // A block of which nothing is left says nothing; one that never had a control is a text.
    return block.of_contact || (block.controls[0] && !controls[0]) ? [] : [{ ...block, controls }];
  });
  return { ...document, blocks };
}

/** Everything that the person may answer now, on screen or not. */
export function leavesOf(document: CenterDocument, preferences: Preferences | null): Map<Path, Leaf> {
  const leaves = new Map<Path, Leaf>();
  for (const block of document.blocks) {
    for (const control of block.controls) {
      if (control.locked || isMasked(control, preferences)) continue;
      const { required, label, when } = control;
      const path = `${block.id}.${control.name}`;
      const above = [
        { path: block.id, when: null },
        { path, when },
      ];
      if (SINGLE.test(control.type)) {
        const { options } = control as { options?: readonly Option[] };
        leaves.set(path, { label, required, parts: above, options });
      }
      if (control.type !== 'matrix') continue;
      for (const row of rowsOf(block.id, control, preferences)) {
        if (row.locked) continue;
        const at = `${path}.${row.key}`;
        const parts = [...above, { path: at, when: row.when }];
        const columns = columnsOf(control, row);
        if (isFlat(control)) {
          const options = control.cell === 'one_of' ? columns : undefined;
          leaves.set(at, { label: row.label, required, parts, options });
        } else {
          for (const one of columns)
            leaves.set(`${at}.${one.key}`, {
              label: `${row.label}, ${one.label}`,
              required,
              parts,
              options: undefined,
            });
        }
      }
    }
  }
  return leaves;
}

/** The answer at a path. Own properties only, so that a key like `constructor` finds nothing. */
export function read(answers: Answers, path: Path): Answer | undefined {
  let at: unknown = answers;
  for (const key of path.split('.')) at = at && Object.hasOwn(at, key) ? (at as Answers)[key] : undefined;
  return at as Answer | undefined;
}

/** Whether nothing was chosen. An unticked box counts: what was never asked is drawn unticked. */
export function isEmpty(value: Answer | undefined): boolean {
  return value === false || value === '' || (value ?? null) === null || (Array.isArray(value) && !value.length);
}

export function same(a: Answer | undefined, b: Answer | undefined): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((key) => b.includes(key));
  return a === b || (isEmpty(a) && isEmpty(b));
}

/** Held against the answer on screen; absent counts as null. Of a list, one member is enough. */
export function holds(when: Condition, value: Answer | undefined): boolean {
  const among = (wanted: readonly unknown[]) => [value ?? null].flat().some((one) => wanted.includes(one));
  return 'in' in when ? among(when.in) : !among(when.not_in);
}

/** `{block: {control: ...}}` of a difference. Without prototypes: a key may be `__proto__`. */
export function nest(entries: Iterable<readonly [Path, Answer]>): Answers {
  const root = Object.create(null);
  for (const [path, value] of entries) {
    const keys = path.split('.');
    const last = keys.pop() as string;
    let at = root;
    for (const key of keys) at = at[key] ??= Object.create(null);
    at[last] = value;
  }
  return root;
}
