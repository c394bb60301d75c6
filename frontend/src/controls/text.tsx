import type { DateControl, TextControl } from '../api/types.ts';
import type { ControlProps } from '../view.ts';
import { fieldOf, Label } from './field.tsx';

/** What the server shows of a personal answer, to be read only. */
export function Masked(props: ControlProps) {
  const { value, describe } = fieldOf(props);
  return <input id={props.path} type="text" readOnly value={String(value ?? '')} {...describe} />;
}

const TYPES = { plain: 'text', long: 'text', email: 'email', tel: 'tel' } as const;

export function Text(props: ControlProps<TextControl>) {
  const { control, path, view } = props;
  const { value, masked, disabled, describe, notes } = fieldOf(props);
  const format = control.format ?? 'plain';
  const attributes = {
    id: path,
    value: String(value ?? ''),
    disabled,
    maxLength: control.constraints?.max_length ?? undefined,
    'aria-required': control.required || undefined,
    ...describe,
  };
  const input = masked ? (
    <Masked {...props} />
  ) : format === 'long' ? (
    <textarea rows={4} {...attributes} onInput={(event) => view.store.set(path, event.currentTarget.value)} />
  ) : (
    <input
      type={(TYPES[format] ?? 'text') as 'text'}
      autocomplete={format === 'email' || format === 'tel' ? format : 'on'}
      {...attributes}
      onInput={(event) => view.store.set(path, event.currentTarget.value)}
    />
  );
  return (
    <div part="field" class="field">
      <label class="label" for={path}>
        <Label control={control} view={view} />
      </label>
      {notes}
      {input}
    </div>
  );
}

export function DateField(props: ControlProps<DateControl>) {
  const { control, path, view } = props;
  const { value, masked, disabled, describe, notes } = fieldOf(props);
  const { min, max } = control.constraints ?? {};
  return (
    <div part="field" class="field">
      <label class="label" for={path}>
        <Label control={control} view={view} />
      </label>
      {notes}
      {masked ? (
        <Masked {...props} />
      ) : (
        <input
          id={path}
          type="date"
          value={String(value ?? '')}
          min={min ?? undefined}
          max={max ?? undefined}
          disabled={disabled}
          aria-required={control.required || undefined}
          {...describe}
          onChange={(event) => view.store.set(path, event.currentTarget.value || null)}
        />
      )}
    </div>
  );
}
