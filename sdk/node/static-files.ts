/**
 * Serves the game's page: the files of one folder, read-only, nothing else.
 *
 * A path is decoded once, must name a plain file inside the folder (after following links), and no part
 * of it may start with a dot. Only GET and HEAD. The headers forbid what the page does not need: frames,
 * foreign scripts, content sniffing, other origins reading it.
 */
import { createReadStream } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join, sep } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.webmanifest': 'application/manifest+json; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.webp': 'image/webp',
  '.gif': 'image/gif',
  '.avif': 'image/avif',
  '.ico': 'image/x-icon',
  '.woff': 'font/woff',
  '.woff2': 'font/woff2',
  '.ttf': 'font/ttf',
  '.otf': 'font/otf',
  '.xml': 'text/xml; charset=utf-8',
  '.mp3': 'audio/mpeg',
  '.m4a': 'audio/mp4',
  '.ogg': 'audio/ogg',
  '.wav': 'audio/wav',
  '.mp4': 'video/mp4',
  '.webm': 'video/webm',
  '.wasm': 'application/wasm',
};

/** Headers of every answer, refusals included. `sockets` are the page's own WebSocket origins. */
export function securityHeaders(sockets: readonly string[]): Record<string, string> {
  return {
    'Content-Security-Policy': [
      "default-src 'self'",
      "style-src 'self' 'unsafe-inline'",
      "img-src 'self' data: blob:",
      "media-src 'self' data: blob:",
      // Physics comes as WebAssembly, and Vite writes small fonts into the style sheet; neither lets in what is not the game's.
      "script-src 'self' 'wasm-unsafe-eval'",
      "font-src 'self' data:",
      // CSP has no words for an IPv6 address; a page served from one falls back on 'self'.
      ["connect-src 'self' data: blob:", ...sockets.filter((origin) => !origin.includes('['))].join(' '),
      "object-src 'none'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
  };
}

/** Answers with a status and one plain sentence. */
export function refuse(response: ServerResponse, status: number, sentence: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { ...headers, 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' });
  response.end(`${sentence}\n`);
}

/**
 * The parts of the file's path below the folder, or `undefined` when the request names none: not
 * decodable, empty parts, dots in front, separators or NULs smuggled in by encoding.
 */
export function filePartsOf(target: string): readonly string[] | undefined {
  const path = target.split(/[?#]/, 1)[0]!;
  if (!path.startsWith('/')) return undefined;
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    return undefined;
  }
  if (decoded === '/') return ['index.html'];
  const parts = decoded.slice(1).split('/');
  // Colons and trailing dots or spaces mean something to Windows that they do not mean to us.
  const bad = (part: string): boolean => part === '' || part.startsWith('.') || /[\\:\0]|[. ]$/.test(part);
  return parts.some(bad) ? undefined : parts;
}

/** Answers one request from the folder `root`. The caller has checked Host and method. */
export async function serveFile(root: string, request: IncomingMessage, response: ServerResponse, headers: Record<string, string>): Promise<void> {
  const parts = filePartsOf(request.url ?? '/');
  if (parts === undefined) return refuse(response, 400, 'That path cannot be served.', headers);
  const file = await plainFileIn(root, parts);
  if (file === undefined) return refuse(response, 404, 'There is no such file.', headers);
  const type = TYPES[extname(file.path).toLowerCase()] ?? 'application/octet-stream';
  // Names below assets/ carry a hash of their content; everything else may change under its name.
  const cache = type.startsWith('text/html') ? 'no-store' : parts[0] === 'assets' ? 'public, max-age=31536000, immutable' : 'no-cache';
  const about = { ...headers, 'Content-Type': type, 'Cache-Control': cache, 'Accept-Ranges': 'bytes' };
  const range = rangeOf(request, file.size);
  if (range === 'beyond') return refuse(response, 416, 'The file is not that long.', { ...headers, 'Content-Range': `bytes */${file.size}` });
  const { start, end } = range ?? { start: 0, end: file.size - 1 };
  const bytes = end - start + 1;
  if (range === undefined) response.writeHead(200, { ...about, 'Content-Length': bytes });
  else response.writeHead(206, { ...about, 'Content-Length': bytes, 'Content-Range': `bytes ${start}-${end}/${file.size}` });
  if (request.method === 'HEAD' || bytes === 0) {
    response.end();
    return;
  }
  // A build may write the file anew meanwhile: what it is longer by would be read as the next answer, what it is shorter by waited for without end.
  const stream = createReadStream(file.path, { start, end });
  stream.on('error', () => response.destroy());
  stream.on('end', () => {
    if (stream.bytesRead < bytes) response.destroy();
  });
  // A page that reloads does not read to the end, and `pipe` leaves the file open then.
  response.on('close', () => stream.destroy());
  stream.pipe(response);
}

/**
 * The one part of the file that is asked for, ends included: Safari plays no sound or film whose parts it cannot have. Undefined for the whole
 * of it, which is also the answer to several parts, and to one of a file that may have changed (RFC 9110, 14.2).
 */
function rangeOf(request: IncomingMessage, size: number): { readonly start: number; readonly end: number } | 'beyond' | undefined {
  const { range, 'if-range': known } = request.headers;
  const match = request.method === 'GET' && known === undefined ? /^bytes=(\d*)-(\d*)$/.exec(range ?? '') : null;
  if (match === null) return undefined;
  const [first, last] = [match[1]!, match[2]!];
  if (first === '') {
    // The last so many bytes.
    if (last === '') return undefined;
    return Number(last) === 0 || size === 0 ? 'beyond' : { start: Math.max(0, size - Number(last)), end: size - 1 };
  }
  const [start, end] = [Number(first), last === '' ? size - 1 : Math.min(Number(last), size - 1)];
  if (last !== '' && Number(last) < start) return undefined;
  return start >= size ? 'beyond' : { start, end };
}

async function plainFileIn(root: string, parts: readonly string[]): Promise<{ path: string; size: number } | undefined> {
  try {
    const [base, path] = await Promise.all([realpath(root), realpath(join(root, ...parts))]);
    const inside = base.endsWith(sep) ? base : base + sep;
    // A link, or a short name of Windows, may have led to what no request may name.
    if (
      !path.startsWith(inside) ||
      path
        .slice(inside.length)
        .split(sep)
        .some((part) => part.startsWith('.'))
    )
      return undefined;
    const facts = await stat(path);
    return facts.isFile() ? { path, size: facts.size } : undefined;
  } catch {
    return undefined;
  }
}
