/** The attributes that we write, so that the compiler finds the ones that an element does not have. */

type Maybe<T> = T | null | undefined;
type Listener<T> = (event: Event & { readonly currentTarget: T }) => void;

/** ARIA knows no boolean attributes: false is a word, too. */
interface Aria {
  role?: 'alert' | 'cell' | 'columnheader' | 'img' | 'row' | 'rowgroup' | 'rowheader' | 'status' | 'table';
  'aria-describedby'?: Maybe<string>;
  'aria-disabled'?: `${boolean}`;
  'aria-invalid'?: Maybe<'true'>;
  'aria-label'?: Maybe<string>;
  'aria-labelledby'?: Maybe<string>;
  'aria-required'?: Maybe<'true'>;
}

interface Every extends Aria {
  key?: string;
  id?: Maybe<string>;
  class?: string;
  part?: string;
  lang?: Maybe<string>;
  dir?: Maybe<string>;
  title?: Maybe<string>;
  tabIndex?: -1;
  children?: unknown;
}

interface Input<T> extends Every {
  disabled?: boolean;
  required?: never;
  autocomplete?: Maybe<string>;
  onChange?: Listener<T>;
  onInput?: Listener<T>;
}

interface Text<T> extends Input<T> {
  value?: string;
  maxLength?: Maybe<number>;
  readOnly?: boolean;
}

interface Cell extends Every {
  scope?: 'col' | 'row' | 'rowgroup';
  colSpan?: number;
  abbr?: string;
}

type Plain =
  | 'bdi'
  | 'caption'
  | 'div'
  | 'fieldset'
  | 'h2'
  | 'h3'
  | 'header'
  | 'legend'
  | 'li'
  | 'ol'
  | 'p'
  | 'section'
  | 'slot'
  | 'span'
  | 'table'
  | 'tbody'
  | 'td'
  | 'thead'
  | 'tr'
  | 'ul';

export interface Elements extends Record<Plain, Every> {
  a: Every & { href: Maybe<string>; rel?: 'noopener' };
  button: Every & {
    type: 'button' | 'submit';
    form?: string;
    disabled?: boolean;
    onClick?: Listener<HTMLButtonElement>;
  };
  form: Every & { noValidate: true; onSubmit: Listener<HTMLFormElement> };
  img: Every & { src: string; alt: string; width?: Maybe<number>; height?: Maybe<number>; loading: 'lazy' };
  input: Text<HTMLInputElement> & {
    type: 'checkbox' | 'date' | 'email' | 'radio' | 'tel' | 'text';
    name?: string;
    checked?: boolean;
    min?: Maybe<number | string>;
    max?: Maybe<number | string>;
  };
  label: Every & { for?: string };
  option: Every & { value: string; selected?: boolean };
  select: Input<HTMLSelectElement>;
  textarea: Text<HTMLTextAreaElement> & { rows: number };
  th: Cell;
  time: Every & { dateTime: string };
}
