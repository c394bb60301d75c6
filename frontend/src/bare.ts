/** The same object, of nothing but its own: a page may have added to the prototype of all of them what we look for. */
export function bare<T extends object>(value: T): T {
  return Array.isArray(value) ? value : Object.setPrototypeOf(value, null);
}
