/** `<preference-center>` in JSX, for React 19: properties, children and events as of any element. */
import type { DetailedHTMLProps, HTMLAttributes } from 'react';

interface CenterEvents {
  'onpreference-center-loaded'?: ((event: CustomEvent<{ revision: string; phase: string }>) => void) | undefined;
  'onpreference-center-saved'?: ((event: CustomEvent<{ version: number; receipt: string | null }>) => void) | undefined;
  'onpreference-center-failed'?: ((event: CustomEvent<{ during: string; status: number }>) => void) | undefined;
}

interface CenterAttributes {
  src: string;
  theme?: 'light' | 'dark' | 'auto' | undefined;
  locale?: string | undefined;
}

declare module 'react' {
  namespace JSX {
    interface IntrinsicElements {
      'preference-center': DetailedHTMLProps<HTMLAttributes<HTMLElement>, HTMLElement> &
        CenterAttributes &
        CenterEvents;
    }
  }
}
