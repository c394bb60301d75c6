/** What all controls share: a label, and all there is to say about a field. */
import type { Control, Media } from '../api/types.ts';
import { isMasked, type Path } from '../state/answers.ts';
import type { Store } from '../state/store.ts';
import { safeWebUrl } from '../url.ts';
import { type Child, Fragment, h } from '../view.ts';

export interface ControlProps<C = Control> {
  control: C;
  /** `block.control`. */
  path: Path;
  store: Store;
  /** The heading of the block: a label that repeats it is for screen readers only. */
  heading?: string | undefined;
}

/** Help, the reason why it is locked, what waits for a confirmation, errors: one element that the input can name. */
export function tell(
  store: Store,
  path: Path,
  { help, locked }: { help?: string; locked?: string | null },
  pending = store.isPending(path) ? store.labels.pending : '',
  paths = [path],
) {
  const id = `${path}.notes`;
  const errors = [...new Set(paths.flatMap((one) => store.errors.get(one) ?? []))];
  const any = help || locked || pending || errors.length;
  return {
    notes: any ? (
      <div id={id} class="notes">
        {help && <p class="help">{help}</p>}
        {locked && (
          <p class="locked">
            <span role="img" aria-label={store.labels.locked} />
            {locked}
          </p>
        )}
        {pending && <p class="pending">{pending}</p>}
        {errors.map((error) => (
          <p part="error">{error}</p>
        ))}
      </div>
    ) : null,
    aria: { 'aria-describedby': any ? id : undefined, 'aria-invalid': errors.length ? ('true' as const) : undefined },
  };
}

/** Whether it cannot be answered now. */
export function isDisabled({ control, store }: ControlProps): boolean {
  return !store.open || !!control.locked || isMasked(control, store.preferences);
}

/** The attributes that the input of a control with one answer has. */
export function inputOf(props: ControlProps) {
  return { disabled: isDisabled(props), ...tell(props.store, props.path, props.control).aria };
}

export function Label({ control, store }: ControlProps) {
  return (
    <>
      {control.label}
      {control.required && store.labels.required && <span class="help"> ({store.labels.required})</span>}
    </>
  );
}

/** Label, notes, and below them one input. */
export function Field(props: ControlProps & { children?: Child }) {
  const { control, path, store, children } = props;
  return (
    <div part="field">
      <label class="label" for={path}>
        <Label {...props} />
      </label>
      {tell(store, path, control).notes}
      {children}
    </div>
  );
}

/** A group of inputs under one legend. */
export function Group(props: ControlProps & { children?: Child }) {
  const { control, path, store, heading, children } = props;
  const { notes, aria } = tell(store, path, control);
  return (
    <fieldset part="field" id={path} aria-describedby={aria['aria-describedby']}>
      {control.label && (
        <legend class={control.label === heading ? 'unseen' : 'label'}>
          <Label {...props} />
        </legend>
      )}
      {notes}
      {children}
    </fieldset>
  );
}

/** What the server shows of a personal answer, to be read only. */
export function Masked(props: ControlProps) {
  const { path, store } = props;
  return (
    <Field {...props}>
      <input
        id={path}
        type="text"
        readOnly
        value={String(store.value(path) ?? '')}
        {...tell(store, path, props.control).aria}
      />
    </Field>
  );
}

export function Picture({ media, store, name }: { media: Media | null | undefined; store: Store; name: string }) {
  const src = media && safeWebUrl(media.src, store.page);
  if (!src) return null;
  const { alt, width, height } = media;
  return <img class={name} src={src} alt={alt} width={width} height={height} loading="lazy" />;
}
