import type { Option, OptionsControl } from '../api/types.ts';
import type { Path } from '../state/answers.ts';
import type { ControlProps, View } from '../view.ts';
import { type described, fieldOf, Label } from './field.tsx';
import { Masked } from './text.tsx';

interface PickProps {
  options: readonly Option[];
  path: Path;
  view: View;
  disabled: boolean;
  describe: ReturnType<typeof described>;
}

/** A native select. The empty choice is there only while the server holds no answer: one cannot be taken back. */
export function Pick({ options, path, view, disabled, describe }: PickProps) {
  const { store } = view;
  const answered = options.some((option) => option.key === store.base(path));
  return (
    <span class="select">
      <select
        id={path}
        value={String(store.value(path) ?? '')}
        disabled={disabled}
        {...describe}
        onChange={(event) => store.set(path, event.currentTarget.value)}
      >
        {!answered && <option value="">{store.label('not_chosen')}</option>}
        {options.map((option) => (
          <option key={option.key} value={option.key}>
            {option.label}
          </option>
        ))}
      </select>
    </span>
  );
}

export function Select(props: ControlProps<OptionsControl>) {
  const { control, path, view } = props;
  const { masked, disabled, describe, notes } = fieldOf(props);
  return (
    <div part="field" class="field">
      <label class="label" for={path}>
        <Label control={control} view={view} />
      </label>
      {notes}
      {masked ? (
        <Masked {...props} />
      ) : (
        <Pick options={control.options} path={path} view={view} disabled={disabled} describe={describe} />
      )}
    </div>
  );
}
