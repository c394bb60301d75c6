import type { DateControl, TextControl } from '../api/types.ts';
import { h } from '../view.ts';
import { type ControlProps, Field, inputOf } from './field.tsx';

/** A text of one line or more, an address, a number, a date: `null` takes a date back, `""` a text. */
export function Text(props: ControlProps<TextControl | DateControl>) {
  const { control, path, store } = props;
  const limits = control.constraints;
  const format = control.type === 'date' ? 'date' : control.format;
  const known = /^(date|email|tel)$/.test(format ?? '');
  const attributes = {
    ...inputOf(props),
    id: path,
    value: String(store.value(path) ?? ''),
    maxLength: limits?.max_length,
    'aria-required': control.required ? ('true' as const) : undefined,
    onInput: ({ currentTarget: { value } }: { currentTarget: { value: string } }) =>
      store.set(path, value || (format === 'date' ? null : '')),
  };
  return (
    <Field {...props}>
      {format === 'long' ? (
        <textarea rows={4} {...attributes} />
      ) : (
        <input
          type={(known ? format : 'text') as 'text'}
          autocomplete={limits?.autocomplete ?? (known && format !== 'date' ? format : 'on')}
          min={limits?.min}
          max={limits?.max}
          {...attributes}
        />
      )}
    </Field>
  );
}
