import type { RecordsControl } from '../api/types.ts';
import type { ControlProps } from '../view.ts';
import { Button } from './action.tsx';

/** What was recorded of this contact: it comes with the preferences, never in the document. */
export function Records({ control, block, view }: ControlProps<RecordsControl>) {
  const { document, preferences } = view.store.state;
  const format = new Intl.DateTimeFormat(document?.locale, { dateStyle: 'long', timeStyle: 'short' });
  return (
    <div part="field" class="field">
      {control.label && <p class="label">{control.label}</p>}
      {control.help && <p class="help">{control.help}</p>}
      <ol class="records">
        {preferences?.records?.[block]?.map(({ title, when, lines, actions }) => (
          <li key={when + title}>
            <p class="name">{title}</p>
            {when && (
              <time class="help" dateTime={when}>
                {format.format(new Date(when))}
              </time>
            )}
            {lines?.map((line) => (
              <p key={line}>{line}</p>
            ))}
            {actions?.map((action) => (
              <Button
                key={action.label}
                label={action.label}
                action={action.do}
                style={action.style}
                receipt={action.receipt}
                block={block}
                view={view}
              />
            ))}
          </li>
        ))}
      </ol>
    </div>
  );
}
