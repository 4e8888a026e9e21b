export { Mesh } from './interim/mesh.ts';
