/** The absolute address, if its scheme can run nothing. Parsed once, by the parser that the browser itself uses. */
export function safeUrl(href: unknown, base: string, schemes = /^(https?|mailto|tel):$/): string | undefined {
  try {
    const url = new URL(href as string, base);
    return schemes.test(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}

/** For pages and images. */
export const safeWebUrl = (href: unknown, base: string) => safeUrl(href, base, /^https?:$/);
