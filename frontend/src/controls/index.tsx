import type { Control } from '../api/types.ts';
import { isMasked } from '../state/answers.ts';
import { type Component, h } from '../view.ts';
import { Action } from './action.tsx';
import { type ControlProps, Masked } from './field.tsx';
import { Matrix } from './matrix.tsx';
import { Options } from './options.tsx';
import { Scale } from './scale.tsx';
import { Select } from './select.tsx';
import { Image, Links, Records, RichText, Unknown } from './static.tsx';
import { Text } from './text.tsx';
import { Toggle } from './toggle.tsx';

// A component takes the controls of its own types only; `never` says that the table is trusted to pass no others.
const COMPONENTS: Record<Control['type'], Component<ControlProps<never>>> = {
  toggle: Toggle,
  one_of: Options,
  many_of: Options,
  select: Select,
  matrix: Matrix,
  scale: Scale,
  text: Text,
  date: Text,
  action: Action,
  rich_text: RichText,
  links: Links,
  image: Image,
  records: Records,
};

/** One component a control type; a block is any mix of them, so a new block needs no new script. */
const byType = new Map(Object.entries(COMPONENTS)) as Map<string, Component<ControlProps>>;

export function AnyControl(props: ControlProps) {
  const { control, store } = props;
  const masked = isMasked(control, store.preferences) && !/^(matrix|action)$/.test(control.type);
  const View = masked ? Masked : (byType.get(control.type) ?? Unknown);
  return <View {...props} />;
}
