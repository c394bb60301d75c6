/** The script of the embed code: registers `<preference-center>`, also when a page has it twice. */
import { PreferenceCenterElement } from './element.tsx';

const TAG = 'preference-center';

if (globalThis.customElements && !customElements.get(TAG)) customElements.define(TAG, PreferenceCenterElement);

export { PreferenceCenterElement };

declare global {
  interface HTMLElementTagNameMap {
    'preference-center': PreferenceCenterElement;
  }
}
