console.log(1); throw new Error('mapped');
//# sourceMappingURL=data:application/json;base64,eyJ2ZXJzaW9uIjozfQ==
