/** The page's few kept values; a browser that refuses storage just forgets them. */
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

const wornKey = 'chroma-worn';

/** The hue last worn in a room, for this tab: not always the one that was chosen, which may have been taken. */
export const worn = {
  read(): number | undefined {
    try {
      const hue = Number(sessionStorage.getItem(wornKey) ?? 'none');
      return Number.isInteger(hue) && hue >= 0 && hue <= 7 ? hue : undefined;
    } catch {
      return undefined;
    }
  },
  write(hue: number): void {
    try {
      sessionStorage.setItem(wornKey, String(hue));
    } catch {
      // As above.
    }
  },
};
