import type { Option, OptionsControl } from '../api/types.ts';
import type { ControlProps } from '../view.ts';
import { fieldOf, Group } from './field.tsx';

/** One of several, as radio buttons. */
export function OneOf(props: ControlProps<OptionsControl>) {
  const { value } = fieldOf(props);
  return (
    <Options
      {...props}
      type="radio"
      chosen={(key) => value === key}
      choose={(key) => props.view.store.set(props.path, key)}
    />
  );
}

/** Any of several, as checkboxes. */
export function ManyOf(props: ControlProps<OptionsControl>) {
  const { control, path, view } = props;
  const { value } = fieldOf(props);
  const chosen = (key: string) => Array.isArray(value) && value.includes(key);
  return (
    <Options
      {...props}
      type="checkbox"
      chosen={chosen}
      choose={(key, on) =>
        view.store.set(
          path,
          control.options.map((option) => option.key).filter((one) => (one === key ? on : chosen(one))),
        )
      }
    />
  );
}

interface OptionsProps extends ControlProps<OptionsControl> {
  type: 'radio' | 'checkbox';
  chosen: (key: string) => boolean;
  choose: (key: string, on: boolean) => void;
}

function Options(props: OptionsProps) {
  const { control, path, type, chosen, choose } = props;
  const { disabled, describe } = fieldOf(props);
  const input = (option: Option) => (
    <input
      type={type}
      name={path}
      checked={chosen(option.key)}
      disabled={disabled}
      aria-invalid={describe['aria-invalid']}
      aria-describedby={option.help ? `${path}.${option.key}.help` : undefined}
      onChange={(event) => choose(option.key, event.currentTarget.checked)}
    />
  );
  return (
    <Group props={props}>
      <div class="options">
        {control.options.map((option) => (
          <div key={option.key}>
            <label part="option" class="choice">
              {input(option)}
              <span>{option.label}</span>
            </label>
            {option.help && (
              <p id={`${path}.${option.key}.help`} class="notes help">
                {option.help}
              </p>
            )}
          </div>
        ))}
      </div>
    </Group>
  );
}
