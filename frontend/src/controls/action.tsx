import type { ActionControl, ActionStyle, Do } from '../api/types.ts';
import type { ControlProps, View } from '../view.ts';
import { Notes } from './field.tsx';

interface ButtonProps {
  label: string;
  action: Do;
  style?: ActionStyle | undefined;
  block: string;
  receipt?: string | undefined;
  disabled?: boolean;
  view: View;
}

/** A button that does something at once. While a request is under way it keeps the focus but does nothing. */
export function Button({ label, action, style, block, receipt, disabled, view }: ButtonProps) {
  const { store } = view;
  const part = style === 'danger' ? 'action leave' : 'action';
  if (action === 'request_link') {
    return (
      <a part={part} class="button" href={view.pageUrl}>
        {label}
      </a>
    );
  }
  const { busy } = store.state;
  return (
    <button
      type="button"
      part={part}
      class={`button ${style ?? ''}`}
      disabled={disabled || !view.enabled || (action === 'undo' && !receipt && !store.receipt)}
      aria-disabled={busy || undefined}
      onClick={() => busy || view.act(action, block, label, receipt)}
    >
      {label}
    </button>
  );
}

export function Action({ control, block, path, view }: ControlProps<ActionControl>) {
  const { label, style, locked, help } = control;
  return (
    <div part="field" class="field">
      <Notes about={{ help, locked, paths: [path] }} path={path} view={view} />
      <Button label={label} action={control.do} style={style} block={block} disabled={!!locked} view={view} />
    </div>
  );
}
