/**
 * What has run, by V8's precise coverage through `node:inspector`: no instrumentation, no native code.
 *
 * V8 tells ranges of the script as it was loaded (one long line, made by tsx from TypeScript), nested, the
 * inner one overruling the outer; since counters are reset by each reading, readings are painted over one
 * another. For a guide the painted bytes are enough. For the report they are carried back to lines of the
 * source by the script's own source map.
 */
import { readFileSync } from 'node:fs';
import { Session, type Debugger, type Profiler } from 'node:inspector';
import { fileURLToPath } from 'node:url';

/** Lines of one file: 1 when its first statement ran, 2 when all of it did (so every branch on it), 0 for neither. */
export type LineState = 0 | 1 | 2;

interface Script {
  readonly url: string;
  readonly ever: Uint8Array;
}

export class Coverage {
  readonly #session = new Session();
  readonly #scripts = new Map<string, Script>();
  readonly #wanted: (url: string) => boolean;

  /** Starts to count; whatever is to be seen has to be loaded after this. */
  constructor(wanted: (url: string) => boolean) {
    this.#wanted = wanted;
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  #post(method: string, params?: object): unknown {
    let answer: unknown;
    this.#session.post(method, params, (error, result) => {
      if (error !== null) throw error;
      answer = result;
    });
    return answer;
  }

  /** Bytes of source that ran since the last reading and never before. */
  read(): number {
    const { result } = this.#post('Profiler.takePreciseCoverage') as Profiler.TakePreciseCoverageReturnType;
    let fresh = 0;
    for (const { scriptId, url, functions } of result) {
      if (!this.#wanted(url)) continue;
      let end = 0;
      for (const { ranges } of functions) for (const range of ranges) if (range.endOffset > end) end = range.endOffset;
      let script = this.#scripts.get(scriptId);
      if (script === undefined || script.ever.length < end) {
        const ever = new Uint8Array(end);
        if (script !== undefined) ever.set(script.ever);
        this.#scripts.set(scriptId, (script = { url, ever }));
      }
      const now = new Uint8Array(end);
      for (const { ranges } of functions) for (const range of ranges) now.fill(range.count > 0 ? 1 : 0, range.startOffset, range.endOffset);
      const { ever } = script;
      for (let i = 0; i < end; i++) {
        if (now[i] === 0 || ever[i] === 1) continue;
        ever[i] = 1;
        fresh++;
      }
    }
    return fresh;
  }

  /** State of every line of code, by path of the file. */
  lines(): Map<string, Map<number, LineState>> {
    const urls = new Map<string, string>();
    this.#session.on('Debugger.scriptParsed', ({ params }) => urls.set(params.scriptId, params.url));
    this.#post('Debugger.enable');
    const out = new Map<string, Map<number, LineState>>();
    for (const [scriptId, { url, ever }] of this.#scripts) {
      const { scriptSource } = this.#post('Debugger.getScriptSource', { scriptId }) as Debugger.GetScriptSourceReturnType;
      const path = fileURLToPath(url.split('?')[0]!);
      const file = out.get(path) ?? new Map<number, LineState>();
      out.set(path, file);
      const ran = new Map<number, { first: boolean; all: boolean }>();
      for (const { offset, line } of segments(scriptSource)) {
        const covered = ever[offset] === 1;
        const seen = ran.get(line);
        if (seen === undefined) ran.set(line, { first: covered, all: covered });
        else seen.all &&= covered;
      }
      for (const [line, { first, all }] of ran) file.set(line, Math.max(file.get(line) ?? 0, all ? 2 : first ? 1 : 0) as LineState);
    }
    this.#post('Debugger.disable');
    return out;
  }
}

/** Where each piece of the loaded script comes from: offset in it, line (from 1) in the source. */
function segments(source: string): { offset: number; line: number }[] {
  const found = /\/\/# sourceMappingURL=data:application\/json;[^,]*base64,([A-Za-z0-9+/=]+)\s*$/.exec(source);
  if (found === null) return [];
  const { mappings } = JSON.parse(Buffer.from(found[1]!, 'base64').toString('utf8')) as { mappings: string };
  const out: { offset: number; line: number }[] = [];
  let lineStart = 0;
  let line = 0;
  for (const row of mappings.split(';')) {
    let column = 0;
    for (const part of row.split(',')) {
      const numbers = vlq(part);
      column += numbers[0] ?? 0;
      if (numbers.length < 4) continue;
      line += numbers[2]!;
      out.push({ offset: lineStart + column, line: line + 1 });
    }
    lineStart = source.indexOf('\n', lineStart) + 1;
    if (lineStart === 0) break;
  }
  return out;
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Base64 variable-length quantities of a source map (ECMA-426). */
function vlq(text: string): number[] {
  const out: number[] = [];
  let value = 0;
  let shift = 0;
  for (const char of text) {
    const digit = DIGITS.indexOf(char);
    value |= (digit & 31) << shift;
    shift += 5;
    if ((digit & 32) !== 0) continue;
    out.push((value & 1) === 1 ? -(value >>> 1) : value >>> 1);
    value = 0;
    shift = 0;
  }
  return out;
}

/**
 * The lines of declarations: from the line that starts with one of `parts` (after its indentation) to the
 * line that closes it at the same indentation. Throws when one is not there, so that a decoder that was
 * renamed does not drop out of the count.
 */
export function linesOf(path: string, parts: readonly string[]): Set<number> {
  const rows = readFileSync(path, 'utf8').split('\n');
  const out = new Set<number>();
  for (const part of parts) {
    const start = rows.findIndex((row) => {
      const text = row.trimStart().replace(/^(export |static |private )*/, '');
      return text.startsWith(part) && (/\W$/.test(part) || !/^\w/.test(text.slice(part.length)));
    });
    if (start < 0) throw new Error(`${path} has no "${part}" any more`);
    const indent = rows[start]!.length - rows[start]!.trimStart().length;
    let end = start;
    if (!/[;}]$/.test(rows[start]!) || rows[start]!.endsWith('{')) {
      do end++;
      while (
        end < rows.length &&
        !(
          rows[end]!.trim() !== '' &&
          rows[end]!.length - rows[end]!.trimStart().length <= indent &&
          /^[)\]}]/.test(rows[end]!.trim()) &&
          !rows[end]!.trimEnd().endsWith('{')
        )
      );
    }
    for (let line = start + 1; line <= end + 1; line++) {
      // Closing brackets and comments are no code, whatever the map says.
      if (!/^\s*([)\]}>;,]*|\/\/.*|\/?\*.*)$/.test(rows[line - 1]!)) out.add(line);
    }
  }
  return out;
}
