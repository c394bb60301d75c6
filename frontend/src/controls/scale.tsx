import type { ScaleControl } from '../api/types.ts';
import { h } from '../view.ts';
import { type ControlProps, Group, inputOf } from './field.tsx';

/** Whole numbers from `min` to `max`, at most 21, as radio buttons: no dragging needed. */
export function Scale(props: ControlProps<ScaleControl>) {
  const { control, path, store } = props;
  const min = Number(control.constraints?.min ?? 0);
  const max = Math.min(Number(control.constraints?.max ?? 10), min + 20);
  return (
    <Group {...props}>
      <div class="scale">
        <span class="help">{control.min_label}</span>
        {Array.from({ length: max - min + 1 }, (_, index) => (
          <label part="option">
            <input
              type="radio"
              name={path}
              checked={store.value(path) === min + index}
              {...inputOf(props)}
              onChange={() => store.set(path, min + index)}
            />
            <span>{min + index}</span>
          </label>
        ))}
        <span class="help">{control.max_label}</span>
      </div>
    </Group>
  );
}
