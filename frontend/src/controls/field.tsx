/** What all controls share: help, the reason why something is locked, what is pending, errors. */
import type { ComponentChildren } from 'preact';
import type { Control, Media } from '../api/types.ts';
import { safeImage } from '../rich-text.tsx';
import { isMasked, type Path } from '../state/answers.ts';
import type { ControlProps, View } from '../view.ts';

interface About {
  help?: string | undefined;
  locked?: string | null | undefined;
  /** In words. */
  pending?: string | undefined;
  /** The paths whose errors are told here. */
  paths: readonly Path[];
}

const notesId = (path: Path) => `${path}.notes`;

/** Everything there is to say about a field, in one element that `aria-describedby` can name. */
export function Notes({ about, path, view }: { about: About; path: Path; view: View }) {
  const { store } = view;
  const { help, locked, pending } = about;
  const errors = errorsOf(about, view);
  if (!help && !locked && !pending && !errors.length) return null;
  return (
    <div id={notesId(path)} class="notes">
      {help && <p class="help">{help}</p>}
      {locked && (
        <p class="locked">
          <span role="img" aria-label={store.label('locked')} />
          {locked}
        </p>
      )}
      {pending && <p class="pending">{pending}</p>}
      {errors.map((error) => (
        <p key={error} part="error" class="error">
          {error}
        </p>
      ))}
    </div>
  );
}

function errorsOf({ paths }: About, { store }: View): readonly string[] {
  return [...new Set(paths.flatMap((path) => store.state.errors.get(path) ?? []))];
}

/** The attributes of an input that tell assistive technology the same. */
export function described(about: About, path: Path, view: View) {
  const errors = errorsOf(about, view).length > 0;
  return {
    'aria-describedby': about.help || about.locked || about.pending || errors ? notesId(path) : undefined,
    'aria-invalid': errors || undefined,
  };
}

/** A control of one value: what its input and its notes need. */
export function fieldOf({ control, path, view }: ControlProps) {
  const { store } = view;
  const about: About = {
    help: control.help,
    locked: control.locked,
    pending: store.isPending(path) ? store.label('pending') : '',
    paths: [path],
  };
  const masked = isMasked(control, store.state.preferences);
  return {
    value: store.value(path),
    masked: masked && view.enabled,
    disabled: !view.enabled || !!control.locked || masked,
    describe: described(about, path, view),
    notes: <Notes about={about} path={path} view={view} />,
  };
}

export function Label({ control, view }: { control: Control; view: View }) {
  const word = control.required && view.store.label('required');
  return (
    <>
      {control.label}
      {word && <span class="required"> ({word})</span>}
    </>
  );
}

/** A group of inputs under one legend. */
export function Group({ props, children }: { props: ControlProps; children: ComponentChildren }) {
  const { control, path, view } = props;
  const { describe, notes } = fieldOf(props);
  return (
    <fieldset part="field" class="field" id={path} aria-describedby={describe['aria-describedby']}>
      {control.label && (
        <legend class="label">
          <Label control={control} view={view} />
        </legend>
      )}
      {notes}
      {children}
    </fieldset>
  );
}

export function Picture({ media, view, name }: { media: Media | null | undefined; view: View; name: string }) {
  const src = media && safeImage(media.src, view.pageUrl);
  if (!src) return null;
  const { alt, width, height } = media;
  return (
    <img class={name} src={src} alt={alt} width={width ?? undefined} height={height ?? undefined} loading="lazy" />
  );
}
