import type { Option, OptionsControl } from '../api/types.ts';
import type { Path } from '../state/answers.ts';
import type { Store } from '../state/store.ts';
import { type ControlProps, Field, inputOf } from './field.tsx';

interface PickProps extends ReturnType<typeof inputOf> {
  options: readonly Option[];
  path: Path;
  store: Store;
  autocomplete?: 'country' | undefined;
}

/** A native select. The empty choice is there only while the server holds no answer: one cannot be taken back. */
export function Pick({ options, path, store, ...attributes }: PickProps) {
  return (
    <span class="select">
      <select
        id={path}
        value={String(store.value(path) ?? '')}
        {...attributes}
        onChange={(event) => store.set(path, event.currentTarget.value)}
      >
        {options.some(({ key }) => key === store.base(path)) || <option value="">{store.labels.not_chosen}</option>}
        {options.map(({ key, label }) => (
          <option key={key} value={key}>
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
        autocomplete={control.constraints?.autocomplete as 'country'}
        {...inputOf(props)}
      />
    </Field>
  );
}
