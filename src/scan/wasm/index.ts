export { numbers } from './numbers';
export { words } from './words';
