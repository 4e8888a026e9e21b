/** The colours of the game, as numbers for Phaser and as CSS for the page, and a pattern for each paint. */

export const ink = 0x0b0d1a;

/** Index 1 to 8 are the paints; 0 is bare floor. */
export const paints = [0x14172b, 0xff4d6d, 0x4cc9f0, 0xffd166, 0x06d6a0, 0xb388ff, 0xff9f1c, 0xf76cc6, 0x90e05a] as const;

export const paintNames = ['bare', 'red', 'blue', 'yellow', 'green', 'violet', 'orange', 'pink', 'lime'] as const;

const dark = 'rgb(11 13 26 / 0.34)';

/** The pattern of each paint as a CSS background image, the same idea as in the floor's shader. */
export const cssPatterns = [
  'none',
  `radial-gradient(circle, ${dark} 25%, transparent 27%)`,
  `repeating-linear-gradient(45deg, ${dark} 0 3px, transparent 3px 8px)`,
  `repeating-linear-gradient(0deg, ${dark} 0 3px, transparent 3px 8px)`,
  `conic-gradient(${dark} 25%, transparent 0 50%, ${dark} 0 75%, transparent 0)`,
  `repeating-linear-gradient(90deg, ${dark} 0 3px, transparent 3px 8px)`,
  `repeating-radial-gradient(circle, ${dark} 0 2px, transparent 2px 6px)`,
  `repeating-linear-gradient(-45deg, ${dark} 0 3px, transparent 3px 8px)`,
  `repeating-linear-gradient(0deg, ${dark} 0 2px, transparent 2px 9px), repeating-linear-gradient(90deg, ${dark} 0 2px, transparent 2px 9px)`,
] as const;

export const cssPatternSizes = ['', '9px 9px', '', '', '10px 10px', '', '', '', ''] as const;

export function paintColor(paint: number): number {
  return paints[paint] ?? paints[0];
}

export function css(color: number): string {
  return `#${color.toString(16).padStart(6, '0')}`;
}

/** `color` mixed with white (amount > 0) or ink (amount < 0). */
export function shade(color: number, amount: number): number {
  const towards = amount > 0 ? 0xffffff : ink;
  const mix = Math.abs(amount);
  const channel = (shift: number): number => Math.round(((color >> shift) & 255) * (1 - mix) + ((towards >> shift) & 255) * mix) << shift;
  return channel(16) | channel(8) | channel(0);
}

export const uiFont = 'system-ui, "Segoe UI", Roboto, sans-serif';
export const monoFont = 'ui-monospace, Menlo, Consolas, monospace';
