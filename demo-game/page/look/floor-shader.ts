/**
 * The floor as one quad: a 96 x 54 texture says who owns each cell (red = paint, green = how wet), and
 * the shader grows gooey, glossy borders out of it. Cells compete by smooth weights, winner takes all, on
 * coordinates bent by noise; the winner's margin gives rim and edge. Nothing is loaded from a file.
 */
export const floorShader = `
#pragma phaserTemplate(shaderName)
precision mediump float;
uniform sampler2D uGrid; uniform vec2 uCells; uniform float uTime; uniform float uPattern; uniform float uNoise; varying vec2 outTexCoord;
float h(vec2 p){ return fract(sin(dot(p, vec2(127.1, 311.7))) * 43758.5453); }
float n(vec2 p){ vec2 i = floor(p), f = fract(p); f = f*f*(3.0-2.0*f); return mix(mix(h(i),h(i+vec2(1,0)),f.x), mix(h(i+vec2(0,1)),h(i+vec2(1,1)),f.x), f.y); }
vec2 cell(vec2 c){ vec4 t = texture2D(uGrid, (clamp(c, vec2(0.0), uCells - 1.0) + 0.5) / uCells); return vec2(floor(t.r * 255.0 / 28.0 + 0.5), t.g); }
vec3 paint(float id){
  if (id < 0.5) return vec3(0.06,0.068,0.13);
  if (id < 1.5) return vec3(1.0,0.302,0.427);
  if (id < 2.5) return vec3(0.298,0.788,0.941);
  if (id < 3.5) return vec3(1.0,0.82,0.4);
  if (id < 4.5) return vec3(0.024,0.839,0.627);
  if (id < 5.5) return vec3(0.702,0.533,1.0);
  if (id < 6.5) return vec3(1.0,0.624,0.11);
  if (id < 7.5) return vec3(0.969,0.424,0.776);
  return vec3(0.565,0.878,0.353);
}
float pattern(float id, vec2 q){
  if (id < 1.5) return smoothstep(0.30, 0.24, length(fract(q * 0.6) - 0.5));
  if (id < 2.5) return smoothstep(0.55, 0.62, abs(fract((q.x + q.y) * 0.38) - 0.5) * 2.0);
  if (id < 3.5) return smoothstep(0.55, 0.65, abs(fract(q.y * 0.55 + sin(q.x * 1.1) * 0.18) - 0.5) * 2.0);
  if (id < 4.5) return abs(step(0.5, fract(q.x * 0.45)) - step(0.5, fract(q.y * 0.45)));
  if (id < 5.5) return smoothstep(0.55, 0.65, abs(fract(q.x * 0.55) - 0.5) * 2.0);
  if (id < 6.5) return smoothstep(0.5, 0.6, abs(fract(length(fract(q * 0.3) - 0.5) * 3.5) - 0.5) * 2.0);
  if (id < 7.5) return smoothstep(0.55, 0.62, abs(fract((q.x - q.y) * 0.38) - 0.5) * 2.0);
  vec2 c = abs(fract(q * 0.5) - 0.5); return 1.0 - smoothstep(0.07, 0.1, min(c.x, c.y) + step(0.34, max(c.x, c.y)));
}
void main() {
  vec2 q = outTexCoord * uCells;
  vec2 p = q + uNoise * ((vec2(n(q*0.9), n(q*0.9+37.0)) - 0.5) * 1.1 + (vec2(n(q*2.7+9.0), n(q*2.7+71.0)) - 0.5) * 0.5);
  vec2 b = floor(p - 0.5); vec2 f = p - 0.5 - b;
  vec2 c00 = cell(b), c10 = cell(b+vec2(1,0)), c01 = cell(b+vec2(0,1)), c11 = cell(b+vec2(1,1));
  float w00=(1.0-f.x)*(1.0-f.y), w10=f.x*(1.0-f.y), w01=(1.0-f.x)*f.y, w11=f.x*f.y;
  float e0=1.0-step(0.5,abs(c00.x-c10.x)), e1=1.0-step(0.5,abs(c00.x-c01.x)), e2=1.0-step(0.5,abs(c00.x-c11.x));
  float e3=1.0-step(0.5,abs(c10.x-c01.x)), e4=1.0-step(0.5,abs(c10.x-c11.x)), e5=1.0-step(0.5,abs(c01.x-c11.x));
  float best = c00.x; float bw = w00 + w10*e0 + w01*e1 + w11*e2; float s;
  s = w10 + w00*e0 + w01*e3 + w11*e4; if (s > bw) { bw = s; best = c10.x; }
  s = w01 + w00*e1 + w10*e3 + w11*e5; if (s > bw) { bw = s; best = c01.x; }
  s = w11 + w00*e2 + w10*e4 + w01*e5; if (s > bw) { bw = s; best = c11.x; }
  float wet = c00.y*w00 + c10.y*w10 + c01.y*w01 + c11.y*w11;
  float painted = step(0.5, best);
  float edge = smoothstep(0.5, 0.62, bw); float rim = smoothstep(0.62, 0.9, bw);
  vec2 g = abs(fract(q * 0.25) - 0.5); float grid = smoothstep(0.47, 0.5, max(g.x, g.y));
  vec3 color = paint(best);
  float gloss = smoothstep(0.72, 0.78, n(p*1.3 + vec2(uTime*0.15, 0.0))) * rim * uNoise;
  vec3 bare = vec3(0.052,0.058,0.112) + grid*0.022 + (n(q*0.35)-0.5)*0.012;
  vec3 base = mix(bare, color * mix(0.66, 1.0, rim), painted);
  base = mix(base, base * 0.62, painted * uPattern * pattern(best, q));
  base = mix(base * 0.45, base, edge);
  base += painted * (gloss * 0.15 + wet * 0.32 * rim);
  vec2 v = outTexCoord - 0.5; base *= 1.0 - dot(v, v) * 0.28 * uNoise;
  gl_FragColor = vec4(base, 1.0);
}`;
