import type { Answer, OptionsControl } from '../api/types.ts';
import { h } from '../view.ts';
import { type ControlProps, Group, inputOf } from './field.tsx';

/** One of several, as radio buttons, or any of several, as checkboxes. */
export function Options(props: ControlProps<OptionsControl>) {
  const { control, path, store } = props;
  const many = control.type === 'many_of';
  const chosen = [store.value(path) ?? []].flat();
  const choose = (key: string, on: boolean): Answer =>
    many ? control.options.map((option) => option.key).filter((one) => (one === key ? on : chosen.includes(one))) : key;
  return (
    <Group {...props}>
      <div class="options">
        {control.options.map(({ key, label, help }) => {
          const id = `${path}.${key}.help`;
          return (
            <div>
              <label part="option" class="choice">
                <input
                  type={many ? 'checkbox' : 'radio'}
                  name={path}
                  checked={chosen.includes(key)}
                  {...inputOf(props)}
                  aria-describedby={help ? id : undefined}
                  onChange={(event) => store.set(path, choose(key, event.currentTarget.checked))}
                />
                <span>{label}</span>
              </label>
              {help && (
                <p id={id} class="notes help">
                  {help}
                </p>
              )}
            </div>
          );
        })}
      </div>
    </Group>
  );
}
