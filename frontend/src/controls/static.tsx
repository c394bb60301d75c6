/** Controls that only show something. */
import type { ImageControl, LinksControl, RichTextControl } from '../api/types.ts';
import { RichText, safeUrl } from '../rich-text.tsx';
import type { ControlProps } from '../view.ts';
import { Picture } from './field.tsx';

export function Text({ control, view }: ControlProps<RichTextControl>) {
  return (
    <div class="text">
      <RichText tree={control.content} base={view.pageUrl} />
    </div>
  );
}

export function Links({ control, view }: ControlProps<LinksControl>) {
  return (
    <nav aria-label={control.label || undefined}>
      {control.label && <p class="label">{control.label}</p>}
      <ul class="links" part="social">
        {control.items.map(({ label, href }) => (
          <li key={href}>
            <a href={safeUrl(href, view.pageUrl) as string} rel="noopener">
              {label}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

export function Image({ control, view }: ControlProps<ImageControl>) {
  return (
    <figure>
      <Picture media={control.media} view={view} name="image" />
      {control.help && <figcaption class="help">{control.help}</figcaption>}
    </figure>
  );
}
