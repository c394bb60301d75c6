import type { MatrixControl, Option, Row } from '../api/types.ts';
import { columnsOf, isMasked, type Path, rowsOf } from '../state/answers.ts';
import type { ControlProps, View } from '../view.ts';
import { described, fieldOf, Group, Label, Notes, Picture } from './field.tsx';
import { Pick } from './select.tsx';

type MatrixProps = ControlProps<MatrixControl>;

/** Rows of choices: a table where each row has a choice for each column, else a list with one choice a row. */
export function Matrix(props: MatrixProps) {
  return props.control.cell === 'toggle' && !props.control.single ? <Table {...props} /> : <List {...props} />;
}

interface Line extends Row {
  path: Path;
  cells: readonly Option[];
  about: Parameters<typeof described>[0];
  disabled: boolean;
}

/** The rows on screen, by the heading they stand under. */
function groupsOf({ control, block, path, view }: MatrixProps): Map<string, Line[]> {
  const { store } = view;
  const { preferences } = store.state;
  const masked = isMasked(control, preferences);
  const groups = new Map<string, Line[]>();
  for (const row of rowsOf(block, control, preferences)) {
    const at = `${path}.${row.key}`;
    if (!store.isShown({ path: at, when: row.when })) continue;
    const single = control.single || control.cell === 'one_of';
    const cells = columnsOf(control, row);
    const waiting = cells.filter((cell) => store.isPending(`${at}.${cell.key}`)).map((cell) => cell.label);
    const pending = store.label('pending');
    const line: Line = {
      ...row,
      path: at,
      cells,
      disabled: !view.enabled || masked || !!control.locked || !!row.locked,
      about: {
        help: row.help,
        locked: row.locked,
        pending: waiting.length ? `${waiting.join(', ')}: ${pending}` : store.isPending(at) ? pending : '',
        paths: single ? [at] : [at, ...cells.map((cell) => `${at}.${cell.key}`)],
      },
    };
    const group = row.group ?? '';
    groups.set(group, [...(groups.get(group) ?? []), line]);
  }
  return groups;
}

function Table(props: MatrixProps) {
  const { control, path, view } = props;
  const { notes, describe } = fieldOf(props);
  const { columns } = control;
  const columnId = (column: Option) => `${path}..${column.key}`;
  return (
    <div part="field" class="field" id={path}>
      {/* The roles are said again because narrow containers draw the table as blocks, and some engines then forget. */}
      <table part="topics" role="table" aria-describedby={describe['aria-describedby']}>
        {control.label && (
          <caption class="label">
            <Label control={control} view={view} />
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
        {[...groupsOf(props)].map(([group, lines]) => (
          <tbody key={group} role="rowgroup">
            {group && (
              <tr role="row" class="group">
                <th scope="rowgroup" role="rowheader" colSpan={columns.length + 1}>
                  {group}
                </th>
              </tr>
            )}
            {lines.map((line) => (
              <tr key={line.key} role="row" class={line.locked ? 'fixed' : undefined}>
                <th scope="row" role="rowheader" abbr={line.label}>
                  <Name line={line} view={view} />
                </th>
                {columns.map((column) => (
                  <td key={column.key} role="cell">
                    {line.cells.includes(column) && (
                      <Cell line={line} column={column} columnId={columnId(column)} view={view} />
                    )}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        ))}
      </table>
      {notes}
    </div>
  );
}

/** The name of a row with its picture, and all there is to say about it. In a list it labels the row's input. */
function Name({ line, view, labels }: { line: Line; view: View; labels?: boolean }) {
  return (
    <div class="row">
      <Picture media={line.media} view={view} name="thumb" />
      <div>
        {labels ? (
          <label class="name" for={line.path}>
            {line.label}
          </label>
        ) : (
          <span class="name" id={`${line.path}.name`}>
            {line.label}
          </span>
        )}
        <Notes about={line.about} path={line.path} view={view} />
      </div>
    </div>
  );
}

interface CellProps {
  line: Line;
  column: Option;
  columnId: string;
  view: View;
}

function Cell({ line, column, columnId, view }: CellProps) {
  const { store } = view;
  const path = `${line.path}.${column.key}`;
  return (
    <label part="option" class="cell">
      <input
        id={path}
        type="checkbox"
        checked={store.value(path) === true}
        disabled={line.disabled}
        aria-labelledby={`${line.path}.name ${columnId}`}
        aria-describedby={described(line.about, line.path, view)['aria-describedby']}
        aria-invalid={store.state.errors.has(path) || undefined}
        onChange={(event) => store.set(path, event.currentTarget.checked)}
      />
      <span>{column.label}</span>
    </label>
  );
}

function List(props: MatrixProps) {
  const { control, view } = props;
  return (
    <Group props={props}>
      {[...groupsOf(props)].map(([group, lines]) => (
        <div key={group} class="lines">
          {group && <p class="group">{group}</p>}
          {lines.map((line) => (
            <div key={line.key} part="option" class={`line ${control.cell}`}>
              {control.cell === 'one_of' ? <PickLine line={line} view={view} /> : <TickLine line={line} view={view} />}
            </div>
          ))}
        </div>
      ))}
    </Group>
  );
}

function PickLine({ line, view }: { line: Line; view: View }) {
  const { path, about, cells, disabled } = line;
  return (
    <>
      <Name line={line} view={view} labels />
      <Pick options={cells} path={path} view={view} disabled={disabled} describe={described(about, path, view)} />
    </>
  );
}

function TickLine({ line, view }: { line: Line; view: View }) {
  const { path, about, disabled } = line;
  return (
    <>
      <input
        id={path}
        type="checkbox"
        checked={view.store.value(path) === true}
        disabled={disabled}
        {...described(about, path, view)}
        onChange={(event) => view.store.set(path, event.currentTarget.checked)}
      />
      <Name line={line} view={view} labels />
    </>
  );
}
