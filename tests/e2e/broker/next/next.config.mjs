export default { serverExternalPackages: ['qiniu'], devIndicators: false };
