import type { ToggleControl } from '../api/types.ts';
import { h } from '../view.ts';
import { type ControlProps, inputOf, Label, tell } from './field.tsx';

export function Toggle(props: ControlProps<ToggleControl>) {
  const { control, path, store } = props;
  return (
    <div part="field">
      <label part="option" class="choice">
        <input
          id={path}
          type="checkbox"
          checked={store.value(path) === true}
          {...inputOf(props)}
          onChange={(event) => store.set(path, event.currentTarget.checked)}
        />
        <span>
          <Label {...props} />
        </span>
      </label>
      {tell(store, path, control).notes}
    </div>
  );
}
