import type { ScaleControl } from '../api/types.ts';
import type { ControlProps } from '../view.ts';
import { fieldOf, Group } from './field.tsx';
import { Masked } from './text.tsx';

/** Whole numbers from `min` to `max`, as radio buttons: no dragging needed. */
export function Scale(props: ControlProps<ScaleControl>) {
  const { control, path, view } = props;
  const { value, masked, disabled, describe } = fieldOf(props);
  const min = Number(control.constraints?.min ?? 0);
  const max = Math.min(Number(control.constraints?.max ?? 10), min + 20);
  const steps = Array.from({ length: Math.max(max - min + 1, 0) }, (_, index) => min + index);
  return (
    <Group props={props}>
      {masked ? (
        <Masked {...props} />
      ) : (
        <div class="scale">
          {control.min_label && <span class="help">{control.min_label}</span>}
          {steps.map((step) => (
            <label key={step} part="option" class="step">
              <input
                type="radio"
                name={path}
                checked={value === step}
                disabled={disabled}
                aria-invalid={describe['aria-invalid']}
                onChange={() => view.store.set(path, step)}
              />
              <span>{step}</span>
            </label>
          ))}
          {control.max_label && <span class="help">{control.max_label}</span>}
        </div>
      )}
    </Group>
  );
}
