import type { MatrixControl, Option, Row } from '../api/types.ts';
import { columnsOf, isFlat, type Path, rowsOf } from '../state/answers.ts';
import type { Store } from '../state/store.ts';
import { type ControlProps, Group, inputOf, Label, Picture, tell } from './field.tsx';
import { Pick } from './select.tsx';

type MatrixProps = ControlProps<MatrixControl>;

interface Line extends ReturnType<typeof tell> {
  row: Row;
  path: Path;
  columns: readonly Option[];
  disabled: boolean;
}

/** Rows of choices: a table where each row has a choice for each column, else a list with one choice a row. */
export function Matrix(props: MatrixProps) {
  if (!groupsOf(props)[0]) return null; // all rows are private, or hidden by their conditions
  return isFlat(props.control) ? <List {...props} /> : <Table {...props} />;
}

/** The rows on screen, by the heading they stand under. */
function groupsOf(props: MatrixProps): [string, Line[]][] {
  const { control, path: above, store } = props;
  const { disabled } = inputOf(props);
  const groups = new Map<string, Line[]>();
  for (const row of rowsOf(above.split('.')[0] ?? '', control, store.preferences)) {
    const path = `${above}.${row.key}`;
    if (!store.isShown({ path, when: row.when })) continue;
    const columns = columnsOf(control, row);
    const cell = (column: Option) => `${path}.${column.key}`;
    const waiting = columns.filter((column) => store.isPending(cell(column))).map((column) => column.label);
    const pending = waiting.length ? `${waiting.join(', ')}: ${store.labels.pending}` : undefined;
    const said = tell(store, path, row, pending, [path, ...columns.map(cell)]);
    const line = { row, path, columns, disabled: disabled || !!row.locked, ...said };
    groups.set(row.group ?? '', [...(groups.get(row.group ?? '') ?? []), line]);
  }
  return [...groups];
}

function Table(props: MatrixProps) {
  const { control, path, store, heading } = props;
  const { columns, label } = control;
  const { notes, aria } = tell(store, path, control);
  const columnId = (column: Option) => `${path}..${column.key}`;
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
              <th key={column.key} id={columnId(column)} scope="col" role="columnheader">
                {column.label}
              </th>
            ))}
          </tr>
        </thead>
        {groupsOf(props).map(([group, lines]) => (
          <tbody key={group} role="rowgroup">
            {group && (
              <tr role="row" class="group">
                <th scope="rowgroup" role="rowheader" colSpan={columns.length + 1}>
                  {group}
                </th>
              </tr>
            )}
            {lines.map((line) => (
              <tr key={line.path} role="row">
                <th scope="row" role="rowheader" abbr={line.row.label}>
                  <Name line={line} store={store} />
                </th>
                {columns.map((column) => (
                  <td key={column.key} role="cell">
                    {line.columns.includes(column) && (
                      <label part="option">
                        <Tick
                          path={`${line.path}.${column.key}`}
                          line={line}
                          store={store}
                          labelledBy={`${line.path}.name ${columnId(column)}`}
                        />
                        <span>{column.label}</span>
                      </label>
                    )}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        ))}
      </table>
    </div>
  );
}

function List(props: MatrixProps) {
  const { control, store } = props;
  return (
    <Group {...props}>
      {groupsOf(props).map(([group, lines]) => (
        <div key={group}>
          {group && <p class="group">{group}</p>}
          {lines.map((line) => {
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
          })}
        </div>
      ))}
    </Group>
  );
}

interface TickProps {
  path: Path;
  line: Line;
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
      aria-invalid={store.errors.has(path) ? true : undefined}
      onChange={(event) => store.set(path, event.currentTarget.checked)}
    />
  );
}

/** The name of a row with its picture, and all there is to say about it. In a list it labels the row's input. */
function Name({ line: { row, path, notes }, store, labels }: { line: Line; store: Store; labels?: boolean }) {
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
