import type { MatrixControl, Option, Row } from '../api/types.ts';
import { columnsOf, isFlat, type Path, rowsOf } from '../state/answers.ts';
import type { Store } from '../state/store.ts';
import { type Child, h, keep } from '../view.ts';
import { type ControlProps, Group, isDisabled, Label, Picture, tell } from './field.tsx';
import { Pick } from './select.tsx';

type MatrixProps = ControlProps<MatrixControl>;

interface Line {
  row: Row;
  path: Path;
  columns: readonly Option[];
  /** The paths of its answers: one for each column, or its own. */
  cells: readonly Path[];
}

/** A line as it is drawn: what there is to say about it, and whether it can be answered. */
interface Drawn extends Line, ReturnType<typeof tell> {
  disabled: boolean;
}

/** Rows of choices: a table where each row has a choice for each column, else a list with one choice a row. */
export function Matrix(props: MatrixProps) {
  const flat = isFlat(props.control);
  const groups = groupsOf(
    props,
    flat ? (line) => <Item line={line} {...props} /> : (line) => <Tr line={line} {...props} />,
  );
  if (!groups[0]) return null; // all rows are private, or hidden by their conditions
  return flat ? <List groups={groups} {...props} /> : <Table groups={groups} {...props} />;
}

type Groups = readonly (readonly [string, Child[]])[];

/** The rows on screen, by the heading they stand under. A row is drawn again only when something in it changed. */
function groupsOf(props: MatrixProps, draw: (line: Drawn) => Child): Groups {
  const { store } = props;
  const { document, preferences, errors, draft } = store;
  const disabled = isDisabled(props);
  const groups = new Map<string, Child[]>();
  for (const line of keep(store, `${props.path} lines`, [document, preferences], () => linesOf(props))) {
    const { path, row, cells } = line;
    if (!store.isShown({ path, when: row.when })) continue;
    const group = row.group ?? '';
    if (!groups.has(group)) groups.set(group, []);
    // The conditions of the document and the preferences stay what they are; an answer is the draft's, or theirs.
    const from = [document, preferences, errors, disabled, ...cells.map((cell) => draft.get(cell))];
    groups.get(group)?.push(
      keep(store, path, from, () => {
        const waiting = line.columns.filter(({ key }) => store.isPending(`${path}.${key}`)).map(({ label }) => label);
        const pending = waiting.length ? `${waiting.join(', ')}: ${store.labels.pending}` : undefined;
        return draw({
          ...line,
          disabled: disabled || !!row.locked,
          ...tell(store, path, row, pending, [path, ...cells]),
        });
      }),
    );
  }
  return [...groups];
}

function linesOf({ control, path: above, store }: MatrixProps): Line[] {
  return rowsOf(above.split('.')[0] ?? '', control, store.preferences).map((row) => {
    const path = `${above}.${row.key}`;
    const columns = columnsOf(control, row);
    return { row, path, columns, cells: isFlat(control) ? [path] : columns.map(({ key }) => `${path}.${key}`) };
  });
}

function Table({ groups, ...props }: MatrixProps & { groups: Groups }) {
  const { control, path, store, heading } = props;
  const { columns, label } = control;
  const { notes, aria } = tell(store, path, control);
  return (
    <div part="field" id={path}>
      {notes}
      {/* The roles are said again because narrow containers draw the table as blocks, and some engines then forget. */}
      <table part="topics" role="table" aria-describedby={aria['aria-describedby']}>
        {label && (
          <caption class={label === heading ? 'unseen' : 'label'}>
            <Label {...props} />
          </caption>
        )}
        <thead role="rowgroup">
          <tr role="row">
            <td />
            {columns.map((column) => (
              <th id={columnId(path, column)} scope="col" role="columnheader">
                {column.label}
              </th>
            ))}
          </tr>
        </thead>
        {groups.map(([group, rows]) => (
          <tbody key={group} role="rowgroup">
            {group && (
              <tr role="row" class="group">
                <th scope="rowgroup" role="rowheader" colSpan={columns.length + 1}>
                  {group}
                </th>
              </tr>
            )}
            {rows}
          </tbody>
        ))}
      </table>
    </div>
  );
}

const columnId = (path: Path, column: Option) => `${path}..${column.key}`;

function Tr({ line, control, path, store }: MatrixProps & { line: Drawn }) {
  return (
    <tr key={line.path} role="row">
      <th scope="row" role="rowheader" abbr={line.row.label}>
        <Name line={line} store={store} />
      </th>
      {control.columns.map((column) => (
        <td role="cell">
          {line.columns.includes(column) && (
            <label part="option">
              <Tick
                path={`${line.path}.${column.key}`}
                line={line}
                store={store}
                labelledBy={`${line.path}.name ${columnId(path, column)}`}
              />
              <span>{column.label}</span>
            </label>
          )}
        </td>
      ))}
    </tr>
  );
}

function List({ groups, ...props }: MatrixProps & { groups: Groups }) {
  return (
    <Group {...props}>
      {groups.map(([group, rows]) => (
        <div key={group}>
          {group && <p class="group">{group}</p>}
          {rows}
        </div>
      ))}
    </Group>
  );
}

function Item({ line, control, store }: MatrixProps & { line: Drawn }) {
  const { path, columns, disabled, aria } = line;
  return (
    <div key={path} part="option" class={`line ${control.cell}`}>
      {control.cell === 'one_of' ? (
        <Pick options={columns} path={path} store={store} disabled={disabled} {...aria} />
      ) : (
        <Tick path={path} line={line} store={store} />
      )}
      <Name line={line} store={store} labels />
    </div>
  );
}

interface TickProps {
  path: Path;
  line: Drawn;
  store: Store;
  labelledBy?: string;
}

function Tick({ path, line, store, labelledBy }: TickProps) {
  return (
    <input
      id={path}
      type="checkbox"
      checked={store.value(path) === true}
      disabled={line.disabled}
      aria-labelledby={labelledBy}
      aria-describedby={line.aria['aria-describedby']}
      aria-invalid={store.errors.has(path) ? 'true' : undefined}
      onChange={(event) => store.set(path, event.currentTarget.checked)}
    />
  );
}

/** The name of a row with its picture, and all there is to say about it. In a list it labels the row's input. */
function Name({ line: { row, path, notes }, store, labels }: { line: Drawn; store: Store; labels?: boolean }) {
  return (
    <div class="row">
      <Picture media={row.media} store={store} name="thumb" />
      <div>
        {labels ? (
          <label class="label" for={path}>
            {row.label}
          </label>
        ) : (
          <span class="label" id={`${path}.name`}>
            {row.label}
          </span>
        )}
        {notes}
      </div>
    </div>
  );
}
