/** Controls that only show something. */
import type { ImageControl, LinksControl, RecordsControl, RichTextControl } from '../api/types.ts';
import { draw } from '../rich-text.tsx';
import { safeUrl } from '../url.ts';
import { Fragment, h } from '../view.ts';
import { Button } from './action.tsx';
import { type ControlProps, Picture } from './field.tsx';

export function RichText({ control, store }: ControlProps<RichTextControl>) {
  return <div class="text">{draw(control.content, store.page)}</div>;
}

export function Links({ control, store }: ControlProps<LinksControl>) {
  return (
    <div part="field social">
      <Words {...control} />
      <ul class="links">
        {control.items.map(({ label, href }) => (
          <li>
            <a href={safeUrl(href, store.page)} rel="noopener">
              {label}
            </a>
          </li>
        ))}
      </ul>
    </div>
  );
}

export function Image({ control, store }: ControlProps<ImageControl>) {
  return (
    <div part="field">
      <Words {...control} />
      <Picture media={control.media} store={store} name="image" />
    </div>
  );
}

/** What was recorded of this contact: it comes with the preferences, never in the document. */
export function Records({ control, path, store }: ControlProps<RecordsControl>) {
  const [block = ''] = path.split('.');
  const format = new Intl.DateTimeFormat(store.document?.locale, { dateStyle: 'long', timeStyle: 'short' });
  const items = store.preferences?.records?.[block]?.map(({ title, when, lines, actions }) => (
    <li>
      <p class="label">{title}</p>
      {when && (
        <time class="help" dateTime={when}>
          {format.format(new Date(when))}
        </time>
      )}
      {lines?.map((line) => (
        <p>{line}</p>
      ))}
      {actions?.map((action) => (
        <Button action={action} block={block} store={store} />
      ))}
    </li>
  ));
  return (
    <div part="field">
      <Words {...control} />
      {items?.[0] && <ol class="records">{items}</ol>}
    </div>
  );
}

/** A newer server's control: what it is about, and where it can be answered. */
export function Unknown({ control, store }: ControlProps) {
  return (
    <div part="field">
      <Words {...control} />
      <a href={store.page}>{store.labels.own_page}</a>
    </div>
  );
}

function Words({ label, help }: { label: string; help?: string }) {
  return (
    <>
      {label && <p class="label">{label}</p>}
      {help && <p class="help">{help}</p>}
    </>
  );
}
