import type { ToggleControl } from '../api/types.ts';
import type { ControlProps } from '../view.ts';
import { fieldOf, Label } from './field.tsx';

export function Toggle(props: ControlProps<ToggleControl>) {
  const { control, path, view } = props;
  const { value, disabled, describe, notes } = fieldOf(props);
  return (
    <div part="field" class="field">
      <label part="option" class="choice">
        <input
          id={path}
          type="checkbox"
          checked={value === true}
          disabled={disabled}
          {...describe}
          onChange={(event) => view.store.set(path, event.currentTarget.checked)}
        />
        <span>
          <Label control={control} view={view} />
        </span>
      </label>
      {notes}
    </div>
  );
}
