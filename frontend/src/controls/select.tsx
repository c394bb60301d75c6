import type { Option, OptionsControl } from '../api/types.ts';
import { isEmpty, type Path } from '../state/answers.ts';
import type { Store } from '../state/store.ts';
import { h } from '../view.ts';
import { type ControlProps, Field, inputOf } from './field.tsx';

interface PickProps extends ReturnType<typeof inputOf> {
  options: readonly Option[];
  path: Path;
  store: Store;
  autocomplete?: string | null | undefined;
}

/** A native select. The empty choice is there only while the server holds no answer: one cannot be taken back. */
export function Pick({ options, path, store, ...attributes }: PickProps) {
  const chosen = store.value(path);
  return (
    <span class="select">
      <select id={path} {...attributes} onChange={(event) => store.set(path, event.currentTarget.value)}>
        {options.some(({ key }) => key === store.base(path)) || (
          <option value="" selected={isEmpty(chosen)}>
            {store.labels.not_chosen}
          </option>
        )}
        {options.map(({ key, label }) => (
          <option value={key} selected={key === chosen}>
            {label}
          </option>
        ))}
      </select>
    </span>
  );
}

export function Select(props: ControlProps<OptionsControl>) {
  const { control, path, store } = props;
  return (
    <Field {...props}>
      <Pick
        options={control.options}
        path={path}
        store={store}
        autocomplete={control.constraints?.autocomplete}
        {...inputOf(props)}
      />
    </Field>
  );
}
