import type { ActionControl, RecordAction } from '../api/types.ts';
import type { Store } from '../state/store.ts';
import { h } from '../view.ts';
import { type ControlProps, tell } from './field.tsx';

/** A button that does something at once. While a request is under way it keeps the focus but does nothing. */
export function Button({ action, block, store }: { action: RecordAction; block: string; store: Store }) {
  const { label, style, locked, receipt } = action;
  const attributes = { part: style === 'danger' ? 'action leave' : 'action', class: `button ${style}` };
  if (action.do === 'request_link')
    return (
      <a {...attributes} href={store.page}>
        {label}
      </a>
    );
  return (
    <button
      type="button"
      {...attributes}
      disabled={!store.open || !!locked || (action.do === 'undo' && !(receipt ?? store.receipt))}
      aria-disabled={`${store.busy}`}
      onClick={() => {
        // Erasing cannot be taken back, so it is asked once more (WCAG 3.3.4).
        if (!store.busy && (action.do !== 'erase' || confirm(label))) void store.act(action.do, block, receipt);
      }}
    >
      {label}
    </button>
  );
}

export function Action({ control, path, store }: ControlProps<ActionControl>) {
  return (
    <div part="field" id={path}>
      {tell(store, path, control).notes}
      <Button action={control} block={path.split('.')[0] ?? ''} store={store} />
    </div>
  );
}
