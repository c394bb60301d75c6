import type { ComponentType } from 'preact';
import type { Control } from '../api/types.ts';
import type { ControlProps } from '../view.ts';
import { Action } from './action.tsx';
import { Matrix } from './matrix.tsx';
import { ManyOf, OneOf } from './options.tsx';
import { Records } from './records.tsx';
import { Scale } from './scale.tsx';
import { Select } from './select.tsx';
import { Image, Links, Text as RichText } from './static.tsx';
import { DateField, Text } from './text.tsx';
import { Toggle } from './toggle.tsx';

type Components = { [Type in Control['type']]: ComponentType<ControlProps<Extract<Control, { type: Type }>>> };

/** One component a control type; a block is any mix of them, so a new block needs no new script. */
const COMPONENTS: Omit<Components, 'one_of' | 'many_of' | 'select'> &
  Record<'one_of' | 'many_of' | 'select', ComponentType<never>> = {
  toggle: Toggle,
  one_of: OneOf,
  many_of: ManyOf,
  select: Select,
  matrix: Matrix,
  scale: Scale,
  text: Text,
  date: DateField,
  action: Action,
  rich_text: RichText,
  links: Links,
  image: Image,
  records: Records,
};

const byType = new Map(Object.entries(COMPONENTS)) as Map<string, ComponentType<ControlProps>>;

export function AnyControl(props: ControlProps) {
  const Component = byType.get(props.control.type) ?? Unknown;
  return <Component {...props} />;
}

/** A newer server's control: what it is about, and where it can be answered. */
function Unknown({ control, view }: ControlProps) {
  const { label, help } = control;
  return (
    <div part="field" class="field">
      <p class="label">{label}</p>
      {help && <p class="help">{help}</p>}
      <a href={view.pageUrl}>{view.store.label('own_page')}</a>
    </div>
  );
}
