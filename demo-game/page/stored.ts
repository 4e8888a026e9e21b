/** The page's few kept values, in localStorage; a browser that refuses storage just forgets them. */
const key = 'chroma-rush';

export const stored = {
  read(): Record<string, unknown> {
    try {
      const value: unknown = JSON.parse(localStorage.getItem(key) ?? '{}');
      return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
    } catch {
      return {};
    }
  },
  write(values: Record<string, unknown>): void {
    try {
      localStorage.setItem(key, JSON.stringify(values));
    } catch {
      // Private windows may refuse; the choice then lasts as long as the page.
    }
  },
};
