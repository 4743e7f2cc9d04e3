export const name: string = 'bundle'
